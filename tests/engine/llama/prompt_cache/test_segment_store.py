"""The folder of segments: found by prefix, within a budget, and never trusted."""

import itertools
import os
import random
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from deepseek_r1.core.errors import PromptCacheUnavailable
from deepseek_r1.engine.llama.prompt_cache.segment import SEGMENT_TOKENS, make_segment
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache

ROOT, OTHER_ROOT = b"r" * 16, b"q" * 16
STATE_BYTES = 10_000
SEGMENT_BYTES = make_segment(ROOT, ROOT, 0, range(SEGMENT_TOKENS), STATE_BYTES).file_bytes
MIB = 1 << 20
SEGMENT_MIB = SEGMENT_BYTES / MIB
Reopened = Callable[..., PromptCache]


def tokens(count: int, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(50_000) for _ in range(count)]


def state_for(prefix: list[int]) -> bytes:
    return random.Random(str(prefix)).randbytes(STATE_BYTES)


def save(cache: PromptCache, prompt: list[int], owner: str = "1", root: bytes = ROOT) -> int:
    """Write a prompt's segments that are not there; how many were written."""
    parent, chain, written = root, [], 0
    for first in range(0, len(prompt), SEGMENT_TOKENS):
        part = prompt[first : first + SEGMENT_TOKENS]
        one = make_segment(root, parent, first, part, STATE_BYTES)
        if not cache.keep(one, owner):
            state = state_for(prompt[: first + len(part)])

            def fill(view: memoryview, state: bytes = state) -> None:
                view[:] = state

            written += cache.write(one, owner, fill, chain)
        parent = one.id
        chain.append(parent)
    return written


def found(cache: PromptCache, prompt: list[int], root: bytes = ROOT) -> int:
    """Tokens that are found and whose states can be read."""
    count = 0
    for match in cache.match(root, prompt):
        states: list[bytes] = []

        def use(state: memoryview, states: list[bytes] = states) -> bool:
            states.append(bytes(state))
            return True

        if not cache.read(match.segment, use):
            break
        prefix = [*prompt[: match.segment.first], *match.segment.tokens]
        assert states == [state_for(prefix)]  # whatever was done to the files
        count += match.tokens
    return count


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "prompts" / "segments").iterdir())


def test_a_prompt_is_found_as_far_as_it_was_saved(cache: PromptCache) -> None:
    prompt = tokens(700)
    assert save(cache, prompt) == 3
    assert found(cache, prompt + tokens(100, 2)) == 700
    assert found(cache, prompt[:600]) == 600
    assert found(cache, prompt[:300] + tokens(300, 2)) == 300
    assert found(cache, tokens(300, 2)) == 0


def test_what_two_prompts_share_is_written_once(cache: PromptCache) -> None:
    shared = tokens(2 * SEGMENT_TOKENS)
    save(cache, shared + tokens(SEGMENT_TOKENS, 2), "1")
    assert save(cache, shared + tokens(SEGMENT_TOKENS, 3), "2") == 1
    assert cache.state().segments == 4


def test_an_unfinished_segment_is_replaced_as_the_prompt_grows(cache: PromptCache) -> None:
    prompt = tokens(500)
    for length in (100, 180, 300, 500):
        save(cache, prompt[:length])
    assert cache.state().segments == 2
    assert found(cache, prompt) == 500


def test_another_models_segments_are_not_found(cache: PromptCache) -> None:
    save(cache, tokens(600))
    assert found(cache, tokens(600), OTHER_ROOT) == 0


def test_the_budget_holds_and_leaves_go_before_their_parents(reopened, tmp_path):
    cache = reopened(5 * SEGMENT_BYTES)
    first, second = tokens(4 * SEGMENT_TOKENS), tokens(3 * SEGMENT_TOKENS, 2)
    save(cache, first, "1")
    save(cache, second, "2")
    assert cache.state().disk_mib <= 5 * SEGMENT_MIB
    assert sum(path.stat().st_size for path in files(tmp_path)) == cache.state().disk_mib * MIB
    assert found(cache, second) == 3 * SEGMENT_TOKENS
    assert found(cache, first) == 2 * SEGMENT_TOKENS  # its end went first
    cache.set_budget(2 * SEGMENT_BYTES)
    assert cache.state().disk_mib <= 2 * SEGMENT_MIB


def test_what_was_used_last_outlives_what_was_not(reopened: Reopened, tmp_path: Path) -> None:
    cache = reopened(3 * SEGMENT_BYTES)
    used, unused = tokens(SEGMENT_TOKENS), tokens(SEGMENT_TOKENS, 2)
    save(cache, used)
    save(cache, unused)
    for age, path in enumerate(files(tmp_path), start=1):  # both were used before, at some time
        os.utime(path, (age, age))
    cache = reopened(3 * SEGMENT_BYTES)
    for seed in (3, 4):
        assert found(cache, used) == SEGMENT_TOKENS
        save(cache, tokens(SEGMENT_TOKENS, seed))
    assert found(cache, used) == SEGMENT_TOKENS
    assert found(cache, unused) == 0


def test_a_deleted_conversation_takes_along_what_no_other_has(cache, tmp_path):
    shared = tokens(SEGMENT_TOKENS)
    mine, others = shared + tokens(300, 2), shared + tokens(300, 3)
    save(cache, mine, "1")
    save(cache, others, "2")
    cache.retain_owners(["2"])
    assert found(cache, others) == len(others)
    assert found(cache, mine) == len(shared)
    cache.retain_owners([])
    assert files(tmp_path) == []
    assert cache.state().segments == 0


def test_a_removed_document_takes_along_what_was_read_with_it(cache: PromptCache) -> None:
    first, second = tokens(SEGMENT_TOKENS), tokens(SEGMENT_TOKENS, 2)
    both = first + second + tokens(100, 3)
    save(cache, both, "1 document:a document:b")
    save(cache, first, "document:a")
    cache.retain_owners(["1", "document:a", "document:b"])
    state = cache.state()
    assert state.documents_mib == dict.fromkeys(("document:a", "document:b"), state.disk_mib)
    assert found(cache, both) == len(both)
    cache.retain_owners(["1", "document:a"])
    assert found(cache, both) == len(first), "the chat is there, and still b's tokens are gone"


def test_an_unfinished_segment_of_another_conversation_stays(cache: PromptCache) -> None:
    prompt = tokens(120)
    save(cache, prompt[:100], "1")
    save(cache, prompt, "2")
    cache.retain_owners(["1"])
    assert found(cache, prompt) == 100


def test_damaged_segments_are_deleted_and_their_tokens_not_found(cache, tmp_path):
    rng, prompt = random.Random(5), tokens(600)
    for _ in range(60):
        save(cache, prompt)
        names = files(tmp_path)
        victim, other = rng.sample(names, 2)
        data = bytearray(victim.read_bytes())
        match rng.randrange(4):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data)) :]
            case 2:
                data = bytearray(other.read_bytes())
            case 3:
                data = bytearray(rng.randbytes(len(data)))
        victim.write_bytes(data)
        assert found(cache, prompt) < 600
        assert not victim.exists() or victim.read_bytes() != data
    save(cache, prompt)
    assert found(cache, prompt) == 600


def test_what_a_crash_left_behind_is_deleted(reopened: Reopened, tmp_path: Path) -> None:
    prompt = tokens(4 * SEGMENT_TOKENS)
    save(reopened(), prompt)
    folder = tmp_path / "prompts" / "segments"
    chain = [match.segment for match in reopened().match(ROOT, prompt)]
    (folder / chain[2].file_name).unlink()
    (folder / ("a" * 64 + ".kv")).write_bytes(b"a segment of the version before")
    (folder / f"{ROOT.hex()}-{ROOT.hex()}-{'b' * 32}.kv.new").write_bytes(b"cut short by a crash")
    cache = reopened()
    assert found(cache, prompt) == 2 * SEGMENT_TOKENS
    assert {path.name for path in files(tmp_path)} == {one.file_name for one in chain[:2]}
    assert cache.state().segments == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"no JSON" * 1000, b'{"owners": {"1": [7]}}', b"[" * 100_000, None],
    ids=["empty", "text", "other values", "deep", "gone"],
)
def test_without_the_file_of_owners_no_segment_has_one(reopened, tmp_path, content):
    cache, prompt = reopened(), tokens(600)
    save(cache, prompt)
    cache.close()
    owners = tmp_path / "prompts" / "owners.json"
    owners.unlink() if content is None else owners.write_bytes(content)
    cache = reopened()
    assert found(cache, prompt) == 600
    cache.retain_owners(["1"])
    assert files(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
@pytest.mark.parametrize("name", ["owners.json", "key", "lock"])
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(reopened, tmp_path, name):
    (tmp_path / "prompts").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "prompts" / name)
    cache = reopened()
    save(cache, tokens(600))
    assert found(cache, tokens(600)) == 600


def test_names_that_lie_lead_to_nothing(reopened: Reopened, tmp_path: Path) -> None:
    prompt = tokens(600)
    for part, lie in itertools.product(range(3), (OTHER_ROOT.hex(), "0" * 32)):
        save(reopened(), prompt)
        for path in files(tmp_path):
            names = path.name.removesuffix(".kv").split("-")
            names[part] = lie
            path.rename(path.with_name("-".join(names) + ".kv"))
        cache = reopened()
        assert found(cache, prompt) == found(cache, prompt, OTHER_ROOT) == 0
        save(cache, prompt)
        assert found(cache, prompt) == 600
        cache.retain_owners([])


@pytest.mark.skipif(sys.platform == "win32", reason="needs rights for links there")
def test_no_link_in_the_folder_is_followed_for_writing(reopened: Reopened, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "prompts", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mine.kv").write_text("mine")
    (folder / "segments").symlink_to(elsewhere)
    for name in ("key", "owners.json", "owners.json.new"):
        (folder / name).symlink_to(tmp_path / f"made by {name}")
    cache = reopened()
    save(cache, tokens(600))
    assert found(cache, tokens(600)) == 600
    cache.close()
    assert {path.name for path in tmp_path.iterdir()} == {"prompts", "elsewhere"}
    assert [path.name for path in elsewhere.iterdir()] == ["mine.kv"]


def test_another_key_makes_everything_unreadable(reopened: Reopened, tmp_path: Path) -> None:
    save(reopened(), tokens(600))
    key = tmp_path / "prompts" / "key"
    if sys.platform != "win32":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.write_bytes(b"x" * 32)
    assert found(reopened(), tokens(600)) == 0
    key.unlink()
    save(reopened(), tokens(600))
    assert found(reopened(), tokens(600)) == 600


def test_a_full_disk_ends_the_writing_and_nothing_else(cache, monkeypatch, tmp_path):
    save(cache, tokens(300))

    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    assert save(cache, tokens(300, 2)) == 0
    assert "No space left" in cache.state().problem
    assert found(cache, tokens(300)) == 300
    monkeypatch.undo()
    assert save(cache, tokens(300, 2)) == 2
    assert cache.state().problem == ""


def test_a_disk_that_became_read_only_is_still_read(cache, monkeypatch):
    prompt = tokens(300)
    save(cache, prompt)

    refuse = Mock(side_effect=OSError(30, "Read-only file system"))
    with monkeypatch.context() as patch:
        for function in ("os.fsync", "pathlib.Path.unlink", "pathlib.Path.replace"):
            patch.setattr(function, refuse)
        assert found(cache, prompt) == 300
        cache.retain_owners(["2"])
        assert "Read-only" in cache.state().problem
        assert cache.state().segments == 2  # as long as the files are there
    cache.retain_owners(["2"])
    assert cache.state().segments == 0


def test_a_drive_that_is_nearly_full_is_not_filled(cache, monkeypatch):
    nearly = SimpleNamespace(free=100 << 20)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: nearly)
    assert save(cache, tokens(300)) == 0
    assert cache.state().problem


def test_one_process_at_a_time_has_the_folder(cache: PromptCache, tmp_path: Path) -> None:
    with pytest.raises(PromptCacheUnavailable):
        PromptCache(tmp_path / "prompts", 1 << 20, lock_wait_s=0.1)
    cache.close()
    PromptCache(tmp_path / "prompts", 1 << 20, lock_wait_s=0.1).close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PromptCacheUnavailable):
        PromptCache(tmp_path / "file", 1 << 20)


def test_what_was_written_today_is_counted(cache: PromptCache) -> None:
    save(cache, tokens(600))
    state = cache.state()
    assert state.written_today_mib == state.disk_mib > 0
    save(cache, tokens(600))
    assert cache.state().written_today_mib == state.disk_mib


def test_a_file_that_cannot_be_deleted_is_counted_and_tried_again(cache, tmp_path, monkeypatch):
    """Windows keeps a file that another program has open."""
    unlink = Path.unlink
    first, second = tokens(SEGMENT_TOKENS, 1), tokens(SEGMENT_TOKENS, 2)
    save(cache, first, "1")
    (held,) = files(tmp_path)
    save(cache, second, "2")

    def refusing(path: Path, **options: bool) -> None:
        if path == held:
            raise PermissionError(13, "in use", str(path))
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refusing)
        cache.retain_owners(["2"])
        state = cache.state()
        assert (state.segments, "in use" in state.problem) == (2, True)
        cache.set_budget(int(state.disk_mib * MIB) - 1)  # the other one goes in its place
        assert files(tmp_path) == [held]
    cache.retain_owners([])
    assert (cache.state().segments, files(tmp_path)) == (0, [])

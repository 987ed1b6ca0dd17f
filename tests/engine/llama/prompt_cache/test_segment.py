"""A segment's file: what was written comes back, and nothing else does."""

import random
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from deepseek_r1.engine.llama.prompt_cache.segment import (
    Segment,
    SegmentDamagedError,
    make_segment,
    read_header,
    write_file,
)

ROOT, KEY = b"r" * 16, b"k" * 32
STATE = bytes(random.Random(1).randbytes(5000))


def segment(count: int = 20, root: bytes = ROOT, first: int = 0) -> Segment:
    return make_segment(root, root, first, range(count), len(STATE))


def written(folder: Path, one: Segment, key: bytes = KEY) -> Path:
    path = folder / one.file_name

    def fill(state: memoryview) -> None:
        state[:] = STATE

    write_file(path, one.encode(key, fill))
    return path


def state_of(one: Segment, path: Path, key: bytes = KEY) -> bytes:
    given: list[bytes] = []

    def use(state: memoryview) -> bool:
        given.append(bytes(state))
        return True

    assert one.read(path, key, use)
    return given[0]


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    one = segment()
    path = written(tmp_path, one)
    assert path.stat().st_size == one.file_bytes
    assert state_of(one, path) == STATE
    assert read_header(path) == one
    assert [each.name for each in tmp_path.iterdir()] == [one.file_name]


def test_an_id_depends_on_every_token_and_on_what_comes_before() -> None:
    def id_of(parent: bytes, *tokens: int) -> bytes:
        return make_segment(ROOT, parent, 0, tokens).id

    ids = {
        id_of(ROOT, 1, 2, 3),
        id_of(ROOT, 1, 2, 4),
        id_of(ROOT, 1, 2),
        id_of(id_of(ROOT, 1), 2, 3),
        id_of(b"s" * 16, 1, 2, 3),
    }
    assert len(ids) == 5


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A flipped bit, a cut, something added, or a part exchanged."""
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data + rng.randbytes(1 + rng.randrange(64))
        case _:
            length = min(len(data) - at, 1 + rng.randrange(64))
            return data[:at] + rng.randbytes(length) + data[at + length :]


def test_no_damaged_file_reaches_who_would_use_it(tmp_path: Path) -> None:
    one = segment()
    path = written(tmp_path, one)
    good, rng = path.read_bytes(), random.Random(2)
    for _ in range(500):
        bad = damaged(good, rng)
        if bad == good:
            continue
        path.write_bytes(bad)
        with pytest.raises(SegmentDamagedError):
            one.read(path, KEY, lambda _state: pytest.fail("a damaged state was used"))


@pytest.mark.parametrize(
    ("other", "key"),
    [
        pytest.param(segment(21), KEY, id="other tokens"),
        pytest.param(segment(root=b"q" * 16), KEY, id="another model"),
        pytest.param(segment(first=256), KEY, id="another place"),
        pytest.param(segment(), b"x" * 32, id="another key"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, other: Segment, key: bytes) -> None:
    path = written(tmp_path, other, key)
    with pytest.raises(SegmentDamagedError):
        segment().read(path, KEY, lambda _state: pytest.fail("a foreign state was used"))


def test_a_header_is_believed_only_where_name_length_and_id_fit(tmp_path: Path) -> None:
    path = written(tmp_path, segment())
    good = path.read_bytes()
    for bad in (b"", good[:50], good[:150], good[:-1], good + b"x", b"?" + good[1:]):
        path.write_bytes(bad)
        with pytest.raises(SegmentDamagedError):
            read_header(path)
    path.write_bytes(good)
    for part in range(3):  # root, parent, id
        names = path.name.removesuffix(".kv").split("-")
        names[part] = "0" * 32
        renamed = path.rename(tmp_path / ("-".join(names) + ".kv"))
        with pytest.raises(SegmentDamagedError):
            read_header(renamed)
        renamed.rename(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs rights for links there")
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / segment().file_name).with_suffix(".kv.new").symlink_to(elsewhere)
    assert state_of(segment(), written(tmp_path, segment())) == STATE
    assert elsewhere.read_text() == "mine"


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        written(tmp_path, segment())
    assert list(tmp_path.iterdir()) == []

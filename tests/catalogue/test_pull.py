"""Going on after a stop or a death, what is refused beforehand, and models in several files."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from deepseek_r1.catalogue import file_rules, partial_file
from deepseek_r1.catalogue.checksums import Stop, remembered
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    DownloadSpec,
    RetryPolicy,
    find_known,
    spec_for_known,
    spec_for_url,
)
from deepseek_r1.catalogue.errors import (
    ChecksumUnknown,
    ChecksumWrong,
    DownloadRunning,
    DownloadStopped,
    FileNameTaken,
    FileNameUnusable,
    FolderUnusable,
    ModelUnknown,
    NoSpace,
    SourceUnsafe,
)
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.partial_file import STAGING, unfinished
from deepseek_r1.catalogue.pull import pull
from deepseek_r1.core.i18n import use_language
from deepseek_r1.formats.gguf import read_header
from support.hostile_server import ETAG, Halting, HostileServer, Reply, Request
from support.split import tiny_in_two_files


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def order(server: HostileServer, content: bytes, **other: object) -> DownloadSpec:
    known: dict[str, object] = {
        "url": f"{server.url}/model.gguf", "file": "model.gguf", "sha256": sha(content),
        "size_bytes": len(content), "size_exact": True,
    }  # fmt: skip
    return DownloadSpec(**(known | other))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    size = 32 << 10
    monkeypatch.setattr(partial_file, "PIECE_BYTES", size)
    return size


def stopped_at(server: HostileServer, content: bytes, folder: Path, policy: RetryPolicy) -> None:
    """A download of which 100,000 bytes come, and then it is stopped."""
    stop = Stop()

    def watch(now: DownloadProgress) -> None:
        if now.done_bytes >= 100_000:
            stop.request()

    with pytest.raises(DownloadStopped):
        pull([order(server, content)], folder, policy=policy, on_progress=watch, stop=stop)


def test_a_stopped_download_goes_on_where_its_last_whole_piece_ended(
    content: bytes, tmp_path: Path, quick: RetryPolicy, small_pieces: int
) -> None:
    with HostileServer(Halting(content, 100_000)).running() as server:
        stopped_at(server, content, tmp_path, quick)
        ((waiting, done),) = unfinished(tmp_path)
        assert (waiting, done) == (order(server, content), 100_000)
        pulled = pull([waiting], tmp_path, policy=quick)
        assert pulled.path.read_bytes() == content
        assert server.requests[1].start == 100_000 // small_pieces * small_pieces
        assert server.requests[1].headers["if-range"] == ETAG
        assert server.body_sent <= len(content) + small_pieces
        assert unfinished(tmp_path) == ()


def test_a_piece_that_rotted_on_the_disk_is_fetched_again(content, tmp_path, quick, small_pieces):
    with HostileServer(Halting(content, 100_000)).running() as server:
        stopped_at(server, content, tmp_path, quick)
        part = tmp_path / STAGING / "model.gguf.part"
        data = bytearray(part.read_bytes())
        data[small_pieces + 5] ^= 1
        part.write_bytes(data)
        pulled = pull([order(server, content)], tmp_path, policy=quick)
        assert pulled.path.read_bytes() == content
        assert server.requests[1].start == small_pieces


@pytest.mark.parametrize("damage", [b"", b"no json\n", b"{}\n", b'{"version":1}', b"\xff\0" * 99])
def test_a_damaged_journal_means_beginning_anew(content, tmp_path, quick, small_pieces, damage):
    with HostileServer(Halting(content, 100_000)).running() as server:
        stopped_at(server, content, tmp_path, quick)
        (tmp_path / STAGING / "model.gguf.journal").write_bytes(damage)
        assert unfinished(tmp_path) == ()
        pulled = pull([order(server, content)], tmp_path, policy=quick)
        assert pulled.path.read_bytes() == content
        assert server.requests[1].start == 0


def test_a_download_that_version_1_began_goes_on(content, tmp_path, quick, small_pieces):
    with HostileServer(Halting(content, 100_000)).running() as server:
        stopped_at(server, content, tmp_path, quick)
        journal = tmp_path / STAGING / "model.gguf.journal"
        now = json.loads(journal.read_bytes().split(b"\n")[0])
        now["spec"].pop("listed_in")
        first = {"version": 1, **now.pop("spec"), **now}
        starts = range(0, 3 * small_pieces, small_pieces)
        digests = [sha(content[start : start + small_pieces]) for start in starts]
        journal.write_text("\n".join([json.dumps(first), *digests, ""]))
        ((waiting, done),) = unfinished(tmp_path)
        assert (waiting, done) == (order(server, content), 100_000)
        assert pull([waiting], tmp_path, policy=quick).path.read_bytes() == content
        assert server.requests[1].start == 3 * small_pieces


def test_another_source_goes_on_with_what_the_first_one_sent(
    content: bytes, tmp_path: Path, quick: RetryPolicy, small_pieces: int
) -> None:
    with HostileServer(Halting(content, 100_000)).running() as server:
        stopped_at(server, content, tmp_path, quick)
    with HostileServer(lambda _, reply: reply.file(content, etag='"b"')).running() as mirror:
        pulled = pull([order(mirror, content)], tmp_path, policy=quick)
        assert pulled.path.read_bytes() == content
        (request,) = mirror.requests
        assert request.start == 3 * small_pieces
        assert "if-range" not in request.headers


def test_without_checksum_and_etag_nothing_is_resumed(content, tmp_path, quick, small_pieces):
    def script(request: Request, reply: Reply) -> None:
        reply.file(content, etag="", limit=None if request.number else 100_000)

    with HostileServer(script).running() as server:
        wanted = order(server, content, sha256=None, accept_unverified=True)
        pulled = pull([wanted], tmp_path, policy=quick)
        assert not pulled.verified
        assert [request.start for request in server.requests] == [0, 0]


def test_without_checksum_a_whole_file_that_does_not_say_it_is_the_same_begins_anew(
    content: bytes, tmp_path: Path, quick: RetryPolicy, small_pieces: int
) -> None:
    other = content[:50_000] + b"other" + content[50_005:]

    def script(request: Request, reply: Reply) -> None:
        if request.number:
            reply.file(content, etag="")
        else:
            reply.file(other, limit=100_000)

    with HostileServer(script).running() as server:
        wanted = order(server, content, sha256=None, accept_unverified=True)
        assert pull([wanted], tmp_path, policy=quick).path.read_bytes() == content
        assert server.requests[1].headers["if-range"] == ETAG


# ---- refused beforehand


def test_a_file_without_a_checksum_is_refused_unless_accepted(tmp_path, quick):
    with pytest.raises(ChecksumUnknown, match="--accept-unverified"):
        pull([spec_for_url("https://example.com/a.gguf", None)], tmp_path, policy=quick)
    assert not (tmp_path / STAGING).exists()


def test_an_accepted_file_remembers_what_it_was(content, tmp_path, quick):
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        wanted = spec_for_url(f"{server.url}/a.gguf", None, accept_unverified=True)
        pulled = pull([wanted], tmp_path, policy=quick)
        assert pulled.sha256 == (sha(content),)
        assert remembered(pulled.path) == sha(content)


@pytest.mark.parametrize("url", [
    "http://example.com/a.gguf", "http://127.0.0.1:1/a.gguf", "ftp://example.com/a.gguf",
    "file:///tmp/a.gguf", "https:///a.gguf", "https://me:secret@example.com/a.gguf",
    "https://[::1/a.gguf",
])  # fmt: skip
def test_only_https_is_used(url: str, tmp_path: Path) -> None:
    wanted = DownloadSpec(url, "a.gguf", "0" * 64)
    with pytest.raises(SourceUnsafe):
        pull([wanted], tmp_path, policy=RetryPolicy(first_tries=1, connect_s=0.1))


@pytest.mark.parametrize("name", [
    "..%2F..%2Fevil.gguf", "..%5Cevil.gguf", "C%3A%5Cevil.gguf", "CON.gguf", "nul.x.gguf",
    ".hidden.gguf", "a%00.gguf", "a%0A.gguf", "%E2%80%AEfugg.gguf", "a.exe", "", "a.gguf.exe",
    "x" * 300 + ".gguf", "模" * 70 + ".gguf", "a|b.gguf",
])  # fmt: skip
def test_a_name_in_an_address_cannot_lead_anywhere(name: str) -> None:
    with pytest.raises(FileNameUnusable):
        spec_for_url(f"https://example.com/{name}", "0" * 64)


def test_a_usual_name_is_taken_from_the_address() -> None:
    wanted = spec_for_url("https://example.com/x/%E6%A8%A1%E5%9E%8B%201.gguf?download=true", None)
    assert wanted.file == "模型 1.gguf"


def test_a_full_drive_is_noticed_before_it_is_full(content, tmp_path, quick, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=len(content) + (64 << 20) - 1)
    monkeypatch.setattr(file_rules.shutil, "disk_usage", lambda _: usage)
    sound = HostileServer(lambda _, reply: reply.file(content))
    with sound.running() as server, pytest.raises(NoSpace):
        pull([order(server, content)], tmp_path, policy=quick)
    assert (tmp_path / STAGING / "model.gguf.part").stat().st_size == 0


def test_a_folder_that_cannot_be_made_is_said(content, tmp_path, quick):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FolderUnusable):
        pull(
            [DownloadSpec("https://x.test/a.gguf", "a.gguf", "0" * 64)],
            tmp_path / "file",
            policy=quick,
        )


def test_two_do_not_write_one_file(content: bytes, tmp_path: Path, quick: RetryPolicy) -> None:
    (tmp_path / STAGING).mkdir()
    wanted = DownloadSpec("https://x.test/model.gguf", "model.gguf", "0" * 64)
    with FileLock(tmp_path / STAGING / "model.gguf.lock"), pytest.raises(DownloadRunning):
        pull([wanted], tmp_path, policy=quick)


def test_another_file_of_the_name_is_never_replaced(content, tmp_path, quick):
    (tmp_path / "model.gguf").write_bytes(b"mine")
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        with pytest.raises(FileNameTaken):
            pull([order(server, content)], tmp_path, policy=quick)
        assert server.requests == []
    assert (tmp_path / "model.gguf").read_bytes() == b"mine"


# ---- several files


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, bytes]:
    """A model in two files."""
    files = tiny_in_two_files(tmp_path)
    made = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    return made


def serve_parts(parts: dict[str, bytes]) -> Callable[[Request, Reply], None]:
    return lambda request, reply: reply.file(parts[request.path[1:]])


def test_of_a_split_model_with_a_wrong_part_nothing_is_installed(parts, tmp_path, quick):
    folder = tmp_path / "models"
    with HostileServer(serve_parts(parts)).running() as server:
        first, second = [spec_for_url(f"{server.url}/{name}", sha(d)) for name, d in parts.items()]
        wrong = DownloadSpec(second.url, second.file, "0" * 64)
        with pytest.raises(ChecksumWrong):
            pull([first, wrong], folder, policy=quick)
        assert not list(folder.glob("*.gguf"))
        pulled = pull([first, second], folder, policy=quick)  # the first part is not fetched again
        assert [request.path for request in server.requests] == [
            "/tiny-00001-of-00002.gguf", "/tiny-00002-of-00002.gguf", "/tiny-00002-of-00002.gguf",
        ]  # fmt: skip
    assert len(read_header(pulled.path).parts) == 2


# ---- orders


def test_a_model_is_found_by_id_quantisation_or_file() -> None:
    by_id = find_known("deepseek-r1-distill-qwen-7b")
    assert by_id == find_known("DeepSeek-R1-Distill-Qwen-7B/q4_k_m")
    assert by_id == find_known("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf")
    assert find_known("deepseek-r1-distill-qwen-7b", "Q8_0")[1].quantisation == "Q8_0"
    with pytest.raises(ModelUnknown, match=r"deepseek-r1-distill-qwen-1\.5b"):
        find_known("gpt-5")
    with pytest.raises(ModelUnknown, match="Q4_K_M"):
        find_known("deepseek-r1-distill-qwen-7b/Q1")


def test_every_known_file_can_be_ordered_from_each_of_its_hosts() -> None:
    for model in known_models():
        for file in model.files:
            for host in ("Hugging Face", "hf-mirror"):
                wanted = spec_for_known(model, file, host)
                assert wanted.url.endswith(file.file)
                asked = (None, None) if file.sha256 is None else (file.sha256, file.size_bytes)
                assert (wanted.sha256, wanted.size_bytes) == asked
                assert wanted.verifiable
    with pytest.raises(ModelUnknown, match="Hugging Face"):
        spec_for_known(*find_known("deepseek-r1-0528-qwen3-8b"), "ModelScope")


def test_the_usual_source_follows_the_language() -> None:
    assert "huggingface.co" in spec_for_known(*find_known("deepseek-r1-distill-qwen-7b")).url
    use_language("zh_CN")
    assert "modelscope.cn" in spec_for_known(*find_known("deepseek-r1-distill-qwen-7b")).url
    assert "hf-mirror.com" in spec_for_known(*find_known("deepseek-r1-0528-qwen3-8b")).url


def test_progress_names_the_phases(content: bytes, tmp_path: Path, quick: RetryPolicy) -> None:
    heard: list[DownloadProgress] = []

    def script(request: Request, reply: Reply) -> None:
        reply.file(content, limit=None if request.number else 100_000)

    with HostileServer(script).running() as server:
        pull([order(server, content)], tmp_path, policy=quick, on_progress=heard.append)
        pull([order(server, content)], tmp_path, policy=quick, on_progress=heard.append)
    phases = {each.phase for each in heard}
    assert phases == {DownloadPhase.RECEIVING, DownloadPhase.WAITING, DownloadPhase.CHECKING}
    assert heard[-1].done_bytes == heard[-1].total_bytes == len(content)
    (wait,) = [each for each in heard if each.phase is DownloadPhase.WAITING]
    assert "cut" in wait.detail

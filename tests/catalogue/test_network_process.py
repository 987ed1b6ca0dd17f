"""Downloads and lists come from a process of their own, which its owner may kill or outlive."""

import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadPhase, DownloadProgress, DownloadSpec
from deepseek_r1.catalogue.errors import (
    ChecksumWrong,
    DownloadFailed,
    DownloadStopped,
    FolderUnusable,
    ProxyUnusable,
    RepositoryNotListed,
    SourceRefused,
    SourceUnsafe,
)
from deepseek_r1.catalogue.hub_listing import list_repository
from deepseek_r1.catalogue.hub_reference import HubReference, parse_reference
from deepseek_r1.catalogue.network_process import (
    FilesPulled,
    ListRequest,
    NetworkProcess,
    reply_adapter,
)
from deepseek_r1.catalogue.partial_file import PIECE_BYTES, STAGING
from deepseek_r1.core import frames
from deepseek_r1.core.child_call import ChildCall, ChildFailure
from deepseek_r1.core.errors import GgufVersionUnknown, ProtocolBroken
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.process_lock import missing_parts
from deepseek_r1.core.processes import ChildKind, child_environment
from support.hostile_server import QUICK, Halting, HostileServer, Reply, Request, hub_server, page
from support.patience import PATIENCE_S

pytestmark = pytest.mark.integration
FILE = "model.gguf"
HALTED_BYTES = 2 * PIECE_BYTES


@pytest.fixture(scope="module")
def large(starter: Path) -> bytes:
    """A model of many pieces."""
    return starter.read_bytes()


def spec_of(server: HostileServer, content: bytes) -> DownloadSpec:
    digest = hashlib.sha256(content).hexdigest()
    return DownloadSpec(f"{server.url}/{FILE}", FILE, digest, len(content), size_exact=True)


def reference_of(server: HostileServer) -> HubReference:
    reference = parse_reference(page(server), loopback=True)
    assert isinstance(reference, HubReference)
    return reference


def once_halted(act: Callable[[], object]) -> Callable[[DownloadProgress], None]:
    """Calls `act` when the server has stopped sending, once."""
    acted = threading.Event()

    def on_progress(progress: DownloadProgress) -> None:
        if progress.done_bytes >= HALTED_BYTES and not acted.is_set():
            acted.set()
            act()

    return on_progress


def test_a_file_is_downloaded_with_reports_of_its_progress(tmp_path: Path, content: bytes) -> None:
    reports: list[DownloadProgress] = []
    processes: list[int] = []
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        pulled = NetworkProcess(processes.append, processes.remove).pull(
            [spec_of(server, content)], tmp_path, policy=QUICK, on_progress=reports.append
        )
    assert pulled.path == tmp_path / FILE
    assert pulled.path.read_bytes() == content
    assert (pulled.sha256, pulled.verified, pulled.new) == (
        (hashlib.sha256(content).hexdigest(),), True, True
    )  # fmt: skip
    assert reports[-1].done_bytes == reports[-1].total_bytes == len(content)
    assert {each.phase for each in reports} == {DownloadPhase.RECEIVING}
    assert processes == []
    assert not list((tmp_path / STAGING).iterdir())


def test_the_list_is_the_one_that_this_process_would_read(content: bytes) -> None:
    with hub_server(
        {"m-Q4_K_M.gguf": content, "m-Q8_0.gguf": content + bytes(64)}
    ).running() as hub:
        reference = reference_of(hub)
        listing = NetworkProcess().list_repository(reference, QUICK)
        assert listing == list_repository(reference, QUICK)
    assert listing.outline is not None


def test_a_list_that_is_too_long_for_a_message_is_refused() -> None:
    files = {f"{'x' * 150}-{number}.gguf": b"GGUF" for number in range(6000)}
    with hub_server(files).running() as hub:
        reference = reference_of(hub)
        with pytest.raises(RepositoryNotListed, match="too long"):
            NetworkProcess().list_repository(reference, QUICK)


def test_errors_arrive_as_they_are_and_in_the_users_language(tmp_path, content):
    def script(request: Request, reply: Reply) -> None:
        reply.head(404, "Content-Length: 0")

    use_language("zh_CN")
    with HostileServer(script).running() as server:
        with pytest.raises(SourceRefused, match="没有这个文件") as refused:
            NetworkProcess().pull([spec_of(server, content)], tmp_path, policy=QUICK)
        assert refused.value.facts["host"] == "127.0.0.1"
        reference = reference_of(server)
        with pytest.raises(RepositoryNotListed, match="没有这个文件"):
            NetworkProcess().list_repository(reference, QUICK)


def test_a_file_that_is_no_model_or_another_one_is_refused_and_deleted(tmp_path, content):
    wrong = b"GGUF" + bytes(len(content) - 4)
    with HostileServer(lambda _, reply: reply.file(wrong)).running() as server:
        with pytest.raises(ChecksumWrong):
            NetworkProcess().pull([spec_of(server, content)], tmp_path, policy=QUICK)
        with pytest.raises(GgufVersionUnknown):
            NetworkProcess().pull([spec_of(server, wrong)], tmp_path, policy=QUICK)
    assert not list((tmp_path / STAGING).iterdir())
    assert not (tmp_path / FILE).exists()


@pytest.mark.skipif(bool(missing_parts()), reason="this system cannot lock a process")
def test_a_download_writes_to_no_other_folder(tmp_path: Path, content: bytes) -> None:
    models, outside = tmp_path / "models", tmp_path / "outside"
    models.mkdir()
    outside.mkdir()
    (models / ".checksums").symlink_to(outside)
    with (
        HostileServer(lambda _, reply: reply.file(content)).running() as server,
        pytest.raises(FolderUnusable),
    ):
        NetworkProcess().pull([spec_of(server, content)], models, policy=QUICK)
    assert not list(outside.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right there")
def test_a_model_that_is_a_link_to_another_folder_is_here_already(tmp_path, content):
    (tmp_path / "elsewhere.gguf").write_bytes(content)
    models = tmp_path / "models"
    models.mkdir()
    (models / FILE).symlink_to(tmp_path / "elsewhere.gguf")
    with HostileServer(lambda _, reply: reply.file(content)).running() as server:
        assert not NetworkProcess().pull([spec_of(server, content)], models, policy=QUICK).new
        assert not server.requests


@pytest.mark.parametrize("program", ["r1desk", "deepseek_r1.cli"])
def test_a_bundles_programs_are_started_as_this_process_by_an_argument(program: str) -> None:
    def script(request: Request, reply: Reply) -> None:
        reply.head(404, "Content-Length: 0")

    with HostileServer(script).running() as server:
        reference = reference_of(server)
        request = ListRequest(reference=reference, policy=QUICK)
        with subprocess.Popen(
            [sys.executable, "-m", program, ChildKind.NETWORK.value.argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            bufsize=0,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(frames.pack(request, frames.TO_CHILD_CAP))
            body = frames.read(process.stdout, frames.FROM_CHILD_CAP)
    assert body is not None
    assert isinstance(frames.parse(body, reply_adapter), ChildFailure)
    assert process.returncode == 0


def test_a_killed_download_fails_with_a_sentence_and_goes_on_where_it_was(tmp_path, large):
    running: list[int] = []

    def kill() -> None:
        psutil.Process(running[0]).kill()

    with HostileServer(Halting(large)).running() as server:
        spec = spec_of(server, large)
        with pytest.raises(DownloadFailed, match=r"network process ended.*Start the down"):
            NetworkProcess(running.append, running.remove).pull(
                [spec], tmp_path, policy=QUICK, on_progress=once_halted(kill)
            )
        assert running == []
        assert NetworkProcess().pull([spec], tmp_path, policy=QUICK).path.read_bytes() == large
        assert server.requests[1].start >= HALTED_BYTES


def test_a_list_that_does_not_come_can_be_stopped(content: bytes) -> None:
    stop = Stop()

    def script(request: Request, reply: Reply) -> None:
        stop.request()
        reply.wait(PATIENCE_S)

    with HostileServer(script).running() as server:
        reference = reference_of(server)
        with pytest.raises(DownloadStopped):
            NetworkProcess().list_repository(reference, QUICK, stop)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1"), ("SSL_CERT_FILE", "/no/such/certificates")],
)
def test_settings_of_the_environment_that_cannot_be_used_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with (
        HostileServer(lambda _, reply: reply.file(content)).running() as server,
        pytest.raises(ProxyUnusable, match="HTTPS_PROXY"),
    ):
        NetworkProcess().pull([spec_of(server, content)], tmp_path, policy=QUICK)


def test_the_environments_proxy_is_used(monkeypatch, tmp_path, content):
    with HostileServer(lambda _, reply: reply.file(content)).running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        spec = DownloadSpec(f"http://127.0.0.1:9/{FILE}", FILE, hashlib.sha256(content).hexdigest())
        assert NetworkProcess().pull([spec], tmp_path, policy=QUICK).verified
        assert proxy.requests[0].path == spec.url


def test_no_other_process_gets_the_proxys_password() -> None:
    own = {"HTTPS_PROXY": "http://user:password@proxy.example", "PATH": "/bin"}
    assert own.items() <= child_environment(own, proxies=True).items()
    assert "HTTPS_PROXY" not in child_environment(own)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_server_is_believed_with_a_certificate_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HostileServer(lambda _, reply: reply.file(content), tls=context).running() as server:
        spec = replace(spec_of(server, content), url=f"https://localhost:{server.port}/{FILE}")
        with pytest.raises(SourceUnsafe, match="identity"):
            NetworkProcess().pull([spec], tmp_path / "models", policy=QUICK)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        pulled = NetworkProcess().pull([spec], tmp_path / "models", policy=QUICK)
        assert pulled.path.read_bytes() == content


OWNER = """
import sys, threading
from pathlib import Path
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.download_spec import RetryPolicy

def on_progress(progress):
    if progress.done_bytes:
        print([name for name in sys.modules if name in ("httpx2", "ssl", "anyio", "certifi")])
        print(pid, flush=True)

def on_started(number):
    global pid
    pid = number

spec = DownloadSpec(sys.argv[1], "model.gguf", None, accept_unverified=True)
NetworkProcess(on_started).pull(
    [spec], Path(sys.argv[2]), policy=RetryPolicy(loopback_http=True), on_progress=on_progress
)
"""


def test_the_process_ends_with_a_killed_owner_which_has_no_library_of_the_network(tmp_path, large):
    with HostileServer(Halting(large)).running() as server:
        command = [sys.executable, "-c", OWNER, f"{server.url}/{FILE}", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment()) as owner:
            assert owner.stdout is not None
            assert owner.stdout.readline().rstrip() == b"[]"
            child = psutil.Process(int(owner.stdout.readline()))
            processes = [child, *child.children(recursive=True)]
            owner.kill()
        gone, _ = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert len(gone) == len(processes)


def listed(**changes: object) -> bytes:
    """A reply of the network process, with one field of its only file or its outline changed."""
    file = {"path": "a.gguf", "size_bytes": 1, "sha256": None} | {
        key: value for key, value in changes.items() if key in ("path", "size_bytes", "sha256")
    }
    shape = dict.fromkeys(
        ("context_trained", "blocks", "embedding", "feed_forward", "heads", "heads_kv",
         "key_length", "value_length"), 4
    )  # fmt: skip
    outline = {"name": "", "architecture": "", "vocabulary": 4, "parameters": 999} | {
        key: value for key, value in changes.items() if key in ("vocabulary", "parameters")
    }
    reply = {"kind": "listed", "models": [[file]]}
    return json.dumps(reply | {"outline": outline | {"shape": shape | {"experts": 0}}}).encode()


def test_a_reply_without_a_checksum_for_each_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ChildCall, "ask", lambda *_, **__: FilesPulled(sha256=(), new=True))
    with pytest.raises(DownloadFailed):
        NetworkProcess().pull([DownloadSpec("", FILE, "0" * 64)], tmp_path, policy=QUICK)


@pytest.mark.parametrize("changes", [
    {"path": "../a.gguf/.."}, {"path": "a.exe"}, {"size_bytes": -1}, {"sha256": "abc"},
    {"vocabulary": 0}, {"parameters": 0}
])  # fmt: skip
def test_a_reply_that_no_server_could_have_caused_is_refused(changes: dict[str, object]) -> None:
    frames.parse(listed(), reply_adapter)
    with pytest.raises(ProtocolBroken):
        frames.parse(listed(**changes), reply_adapter)

"""Downloading from servers that cut, stall, corrupt and lie: no wrong file, nothing elsewhere."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec, RetryPolicy
from deepseek_r1.catalogue.errors import ChecksumWrong, DownloadFailed, SourceRefused, SourceUnsafe
from deepseek_r1.catalogue.http_source import _refuse_inside
from deepseek_r1.catalogue.partial_file import STAGING
from deepseek_r1.catalogue.pull import pull
from support.hostile_server import HostileServer, Reply, Request, Script, drip
from support.patience import PATIENCE_S

NAME = "model.gguf"


class Case:
    """Scripts by name. A method's docstring would repeat its name."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.wrong = content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:]
        size = len(content)
        length, ten = f"Content-Length: {size}", "Content-Length: 10"
        page, packed = b"<html>Please log in</html>", gzip.compress(content)
        out = "Content-Disposition: attachment; filename=../../evil.gguf"
        self.files: dict[str, tuple[bytes, dict[str, Any]]] = {  # and how they are sent
            "sound": (content, {}),
            "cut_again_and_again": (content, {"limit": size // 8 + 1}),
            "no_etag": (content, {"etag": "", "limit": 40_000}),
            "a_name_that_leads_out": (content, {"extra": (out,)}),
            "one_wrong_bit": (self.wrong, {}),
            "too_short": (content[:-32], {}),
            "too_long": (content + b"\0" * 32, {}),
        }
        self.replies: dict[str, tuple[int, bytes, tuple[str, ...]]] = {  # status, body, head
            "less_than_announced": (200, content[:10], (length,)),
            "length_is_a_word": (200, content, ("Content-Length: many",)),
            "length_is_negative": (200, content, ("Content-Length: -1",)),
            "two_lengths": (200, content, (ten, length)),
            "partial_unasked": (206, b"GGUF", ("Content-Length: 4", "Content-Range: bytes 0-3/4")),
            "compressed": (
                200, packed, (f"Content-Length: {len(packed)}", "Content-Encoding: gzip")
            ),
            "a_login_page": (200, page, ("Content-Length: 26", "Content-Type: text/html")),
            "a_login_page_in_disguise": (
                200, page.ljust(size), (length, "Content-Type: application/octet-stream")
            )
        }  # fmt: skip
        several = "Content-Type: multipart/byteranges; boundary=x"
        another = f"Content-Range: bytes 1-{size - 1}/{size}"
        shorter = f"Content-Range: bytes 10000-{size - 1}/{size}"
        self.replies_after_a_cut: dict[str, tuple[int, bytes, tuple[str, ...]]] = {
            "another_range": (206, content[1:], (f"Content-Length: {size - 1}", another)),
            "a_range_that_is_none": (206, content, (ten, "Content-Range: elephants 1-10/11")),
            "a_range_of_another_length": (206, b"12345", ("Content-Length: 5", shorter)),
            "partial_without_a_range": (206, content, (ten,)),
            "in_several_parts": (206, content, ("Content-Length: 4", several)),
        }

    # ---- the file arrives

    def cut_before_the_head(self, request: Request, reply: Reply) -> None:
        if request.number >= 2:
            reply.file(self.content)

    def cut_within_the_head(self, request: Request, reply: Reply) -> None:
        if request.number >= 2:
            reply.file(self.content)
        else:
            reply.raw(b"HTTP/1.1 200 OK\r\nContent-Le")

    def cut_just_before_the_end(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, limit=len(self.content) - 1 if not request.number else None)

    def stall_once(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, limit=None if request.number else 5000)
        if not request.number:
            reply.wait(PATIENCE_S)

    def drip_once(self, request: Request, reply: Reply) -> None:
        if request.number:
            reply.file(self.content)
        else:
            reply.head(200, f"Content-Length: {len(self.content)}")
            drip(reply, self.content)

    def busy_first(self, request: Request, reply: Reply) -> None:
        if request.number < 2:
            reply.head(503, "Retry-After: 0", "Content-Length: 0")
        else:
            reply.file(self.content)

    def changed_meanwhile(self, request: Request, reply: Reply) -> None:
        if request.number:
            reply.file(self.content, etag='"second"')
        else:
            reply.file(self.wrong, limit=20_000)

    def changed_and_ignores_if_range(self, request: Request, reply: Reply) -> None:
        if request.number:
            request.headers.pop("if-range", None)
            reply.file(self.content, etag='"second"')
        else:
            reply.file(self.wrong, limit=20_000)

    def ranges_ignored(self, request: Request, reply: Reply) -> None:
        limit = 30_000 if not request.number else None
        reply.file(self.content, ranges=False, limit=limit)

    def weak_etag(self, request: Request, reply: Reply) -> None:
        request.headers.pop("if-range", None)
        reply.file(self.content, etag='W/"weak"', limit=40_000)

    def redirected(self, request: Request, reply: Reply) -> None:
        if request.path == "/elsewhere":
            reply.file(self.content)
        else:
            reply.head(302, "Location: /elsewhere", "Content-Length: 0")

    def redirected_five_times(self, request: Request, reply: Reply) -> None:
        if request.path == "/5":
            reply.file(self.content)
        else:
            step = int(request.path[1:]) + 1 if request.path[1:].isdigit() else 1
            reply.head(307, f"Location: /{step}", "Content-Length: 0")

    def without_a_length(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Transfer-Encoding: chunked")
        for begin in range(0, len(self.content), 30_000):
            piece = self.content[begin : begin + 30_000]
            reply.raw(b"%x\r\n%s\r\n" % (len(piece), piece))
        reply.raw(b"0\r\n\r\n")

    def range_refused_once(self, request: Request, reply: Reply) -> None:
        if request.number == 1:
            reply.head(416, f"Content-Range: bytes */{len(self.content)}", "Content-Length: 0")
        else:
            reply.file(self.content, limit=None if request.number else 10_000)

    def total_not_said(self, request: Request, reply: Reply) -> None:
        if not request.number:
            reply.file(self.content, limit=10_000)
            return
        last = len(self.content) - 1
        lines = (f"Content-Range: bytes {request.start}-{last}/*", 'ETag: "first"')
        reply.head(206, f"Content-Length: {last + 1 - request.start}", *lines)
        reply.raw(self.content[request.start :])

    def more_behind_the_end(self, request: Request, reply: Reply) -> None:
        reply.file(self.content)
        reply.raw(b"and more" * 1000)

    # ---- the file does not arrive

    def wrong_after_a_cut(self, request: Request, reply: Reply) -> None:
        reply.file(self.wrong if request.number else self.content, limit=40_000)

    def endless(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Transfer-Encoding: chunked")
        piece = self.content
        while True:
            reply.raw(b"%x\r\n%s\r\n" % (len(piece), piece))

    def range_refused_always(self, request: Request, reply: Reply) -> None:
        if request.start:
            reply.head(416, "Content-Length: 0")
        else:
            reply.file(self.content, limit=10_000)

    def changes_every_time(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, etag=f'"{request.number}"', limit=10_000)

    def shrinks_meanwhile(self, request: Request, reply: Reply) -> None:
        reply.file(self.content[: len(self.content) - request.number], etag="", limit=10_000)

    def redirected_in_a_circle(self, request: Request, reply: Reply) -> None:
        reply.head(302, f"Location: {request.path}", "Content-Length: 0")

    def redirected_with_a_password(self, request: Request, reply: Reply) -> None:
        host = request.headers["host"]
        reply.head(302, f"Location: http://me:secret@{host}/x", "Content-Length: 0")

    def silent(self, request: Request, reply: Reply) -> None:
        reply.wait(PATIENCE_S)

    def stalled_for_good(self, request: Request, reply: Reply) -> None:
        reply.head(200, f"Content-Length: {len(self.content)}")
        reply.wait(PATIENCE_S)

    def a_head_without_end(self, request: Request, reply: Reply) -> None:
        reply.raw(b"HTTP/1.1 200 OK\r\n")
        drip(reply, b"X-Slow: x\r\n" * 1000, 0.01)


ARRIVES = [name for name in vars(Case) if not name.startswith("_")]
ARRIVES = ARRIVES[: ARRIVES.index("wrong_after_a_cut")]
ARRIVES += ["sound", "cut_again_and_again", "no_etag", "a_name_that_leads_out"]
FAILING: dict[type[Exception], str] = {
    ChecksumWrong: "one_wrong_bit wrong_after_a_cut",
    SourceRefused: "too_short too_long endless another_range a_range_that_is_none"
    " a_range_of_another_length partial_without_a_range partial_unasked in_several_parts"
    " shrinks_meanwhile compressed a_login_page a_login_page_in_disguise",
    DownloadFailed: "less_than_announced length_is_a_word length_is_negative two_lengths"
    " range_refused_always changes_every_time silent stalled_for_good a_head_without_end",
    SourceUnsafe: "redirected_in_a_circle redirected_with_a_password",
}
FAILS = {name: error for error, names in FAILING.items() for name in names.split()}
HEADS: dict[str, tuple[type[Exception], int, str]] = {  # all that the server says
    "forbidden": (SourceRefused, 403, ""),
    "not_logged_in": (SourceRefused, 401, 'WWW-Authenticate: Basic realm="x"'),
    "not_found": (SourceRefused, 404, ""),
    "nothing": (SourceRefused, 204, ""),
    "a_teapot": (SourceRefused, 418, ""),
    "broken_inside_always": (DownloadFailed, 502, ""),
    "redirected_to_a_file": (SourceUnsafe, 302, "Location: file:///etc/passwd"),
    "redirected_to_plain_http": (SourceUnsafe, 302, "Location: http://example.com/model.gguf"),
    "redirected_into_the_network": (SourceUnsafe, 302, "Location: http://192.168.1.1/model.gguf"),
    "redirected_nowhere": (SourceRefused, 301, ""),
    "redirected_to_nonsense": (SourceUnsafe, 301, "Location: http://[::1/%"),
}
FIRST_HEADS = {"too_many_requests": 429, "broken_inside_first": 500}  # and then the file comes
RAW = {
    "a_head_too_large": b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 500_000 + b"\r\n\r\n",
    "another_protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
}
ARRIVES += FIRST_HEADS
FAILS |= {name: error for name, (error, *_) in HEADS.items()}
FAILS |= dict.fromkeys(RAW, DownloadFailed)
STALLS = {"stall_once", "drip_once", "silent", "stalled_for_good", "a_head_without_end"}


def script_of(name: str, content: bytes) -> Script:
    """The server of a case."""
    case = Case(content)

    def script(request: Request, reply: Reply) -> None:
        if name in case.files:
            data, how = case.files[name]
            reply.file(data, **how)
        elif name in case.replies_after_a_cut and not request.number:
            reply.file(content, limit=10_000)
        elif name in case.replies or name in case.replies_after_a_cut:
            status, body, lines = (case.replies | case.replies_after_a_cut)[name]
            reply.head(status, *lines)
            reply.raw(body)
        elif name in RAW:
            reply.raw(RAW[name])
        elif name in HEADS:
            _error, status, line = HEADS[name]
            reply.head(status, *filter(None, ("Content-Length: 0", line)))
        elif request.number:
            reply.file(content)
        else:
            reply.head(FIRST_HEADS[name], "Content-Length: 0")

    return getattr(case, name, script)


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def attempt(content: bytes, quick: RetryPolicy, tmp_path: Path) -> Callable[..., Path]:
    """Pull from a server with a script; afterwards nothing is outside the models' folder."""
    outside = tmp_path / "outside"
    folder = outside / "models"
    folder.mkdir(parents=True)

    def run(script: Script, policy: RetryPolicy = quick) -> Path:
        with HostileServer(script).running() as server:
            known = {
                "url": f"{server.url}/some/{NAME}?download=true",
                "file": NAME,
                "sha256": hashlib.sha256(content).hexdigest(),
                "size_bytes": len(content),
                "size_exact": True,
            }
            try:
                pull([DownloadSpec(**known)], folder, policy=policy)
            finally:
                names = everything_below(outside)
                assert {name for name in names if not name.startswith("models")} == set()
        return folder / NAME

    return run


def policy_for(name: str, quick: RetryPolicy) -> RetryPolicy:
    """Little patience where a case stalls, or is given up at the end."""
    if name in STALLS:
        quick = replace(quick, connect_s=0.7, stall_s=0.5)
    return replace(quick, give_up_s=5.0) if FAILS.get(name) is DownloadFailed else quick


def test_there_are_at_least_sixty_cases() -> None:
    case = Case(b"GGUF" * 1000)
    cases = {name for name in vars(Case) if not name.startswith("_")} | {*case.files}
    cases |= {*case.replies, *case.replies_after_a_cut}
    assert cases <= set(ARRIVES) | set(FAILS)
    assert len(ARRIVES) + len(FAILS) >= 60


@pytest.mark.parametrize("name", ARRIVES)
def test_the_right_file_arrives(name, content, attempt, quick):
    path = attempt(script_of(name, content), policy_for(name, quick))
    assert path.read_bytes() == content
    assert not everything_below(path.parent / STAGING)
    assert (path.parent / ".checksums" / f"{NAME}.sha256").exists()


@pytest.mark.parametrize("name", FAILS)
def test_no_wrong_file_arrives(name, content, attempt, quick, tmp_path):
    with pytest.raises(FAILS[name]) as caught:
        attempt(script_of(name, content), policy_for(name, quick))
    assert type(caught.value) is FAILS[name]
    assert not list((tmp_path / "outside" / "models").glob("*.gguf"))
    assert "?" not in str(caught.value).replace("?download", "")  # every fact is filled in


def test_bytes_that_are_sent_again_are_no_progress(content, quick, tmp_path):
    stop = Stop()

    def announces_more(request: Request, reply: Reply) -> None:
        if request.number > 100:
            stop.request()  # the download would go on for ever
        reply.head(200, f"Content-Length: {len(content) + 1000}")
        reply.raw(content)

    with HostileServer(announces_more).running() as server:
        spec = DownloadSpec(f"{server.url}/{NAME}", NAME, "0" * 64)
        with pytest.raises(DownloadFailed) as failed:
            pull([spec], tmp_path, policy=replace(quick, give_up_s=0.5), stop=stop)
    assert type(failed.value) is DownloadFailed


# ---- a redirect from outside does not lead into the user's own network


def redirect(target: str, source: str = "https://1.1.1.1/model.gguf") -> None:
    to, of = httpx2.URL(target), httpx2.URL(source)
    asyncio.run(_refuse_inside(to, "model.gguf", RetryPolicy(), of))


@pytest.mark.parametrize("host", [
    "127.0.0.1", "10.0.0.8", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "169.254.169.254",
    "169.254.169.254.", "2130706433", "0x7f000001", "127.1", "0", "localhost", "localhost.",
    "printer.local", "intranet"
])  # fmt: skip
def test_an_address_inside_is_refused_in_every_form(host: str) -> None:
    with pytest.raises(SourceUnsafe, match="inside your own network"):
        redirect(f"https://{host}/secret")


def test_an_address_outside_is_followed() -> None:
    redirect("https://8.8.8.8/model.gguf")


def test_a_mirror_inside_may_redirect_inside() -> None:
    redirect("https://10.0.0.9/model.gguf", "https://10.0.0.8/model.gguf")

"""Downloading from servers that cut, stall, corrupt and lie: no wrong file, nothing elsewhere."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec, RetryPolicy
from deepseek_r1.catalogue.errors import (
    ChecksumWrong,
    DownloadFailed,
    SourceRefused,
    SourceUnsafe,
)
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

    # ---- the file arrives

    def sound(self, request: Request, reply: Reply) -> None:
        reply.file(self.content)

    def cut_again_and_again(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, limit=len(self.content) // 8 + 1)

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

    def no_etag(self, request: Request, reply: Reply) -> None:
        reply.file(self.content, etag="", limit=40_000)

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

    def a_name_that_leads_out(self, request: Request, reply: Reply) -> None:
        out = "Content-Disposition: attachment; filename=../../evil.gguf"
        reply.file(self.content, extra=(out,))

    def more_behind_the_end(self, request: Request, reply: Reply) -> None:
        reply.file(self.content)
        reply.raw(b"and more" * 1000)

    # ---- the file does not arrive

    def one_wrong_bit(self, request: Request, reply: Reply) -> None:
        reply.file(self.wrong)

    def wrong_after_a_cut(self, request: Request, reply: Reply) -> None:
        reply.file(self.wrong if request.number else self.content, limit=40_000)

    def too_short(self, request: Request, reply: Reply) -> None:
        reply.file(self.content[:-32])

    def too_long(self, request: Request, reply: Reply) -> None:
        reply.file(self.content + b"\0" * 32)

    def less_than_announced(self, request: Request, reply: Reply) -> None:
        reply.head(200, f"Content-Length: {len(self.content)}")
        reply.raw(self.content[:10])

    def length_is_a_word(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Content-Length: many")
        reply.raw(self.content)

    def length_is_negative(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Content-Length: -1")
        reply.raw(self.content)

    def two_lengths(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Content-Length: 10", f"Content-Length: {len(self.content)}")
        reply.raw(self.content)

    def endless(self, request: Request, reply: Reply) -> None:
        reply.head(200, "Transfer-Encoding: chunked")
        piece = self.content
        while True:
            reply.raw(b"%x\r\n%s\r\n" % (len(piece), piece))

    def another_range(self, request: Request, reply: Reply) -> None:
        if not request.number:
            reply.file(self.content, limit=10_000)
            return
        last = len(self.content) - 1
        reply.head(206, f"Content-Length: {last}", f"Content-Range: bytes 1-{last}/{last + 1}")
        reply.raw(self.content[1:])

    def a_range_that_is_none(self, request: Request, reply: Reply) -> None:
        if request.number:
            reply.head(206, "Content-Length: 10", "Content-Range: elephants 1-10/11")
        reply.file(self.content, limit=10_000)

    def a_range_of_another_length(self, request: Request, reply: Reply) -> None:
        if not request.number:
            reply.file(self.content, limit=10_000)
            return
        size = len(self.content)
        reply.head(206, "Content-Length: 5", f"Content-Range: bytes 10000-{size - 1}/{size}")
        reply.raw(b"12345")

    def partial_without_a_range(self, request: Request, reply: Reply) -> None:
        if request.number:
            reply.head(206, "Content-Length: 10")
        reply.file(self.content, limit=10_000)

    def partial_unasked(self, request: Request, reply: Reply) -> None:
        reply.head(206, "Content-Length: 4", "Content-Range: bytes 0-3/4")
        reply.raw(b"GGUF")

    def in_several_parts(self, request: Request, reply: Reply) -> None:
        if request.number:
            reply.head(206, "Content-Length: 4", "Content-Type: multipart/byteranges; boundary=x")
        reply.file(self.content, limit=10_000)

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

    def compressed(self, request: Request, reply: Reply) -> None:
        packed = gzip.compress(self.content)
        reply.head(200, f"Content-Length: {len(packed)}", "Content-Encoding: gzip")
        reply.raw(packed)

    def a_login_page(self, request: Request, reply: Reply) -> None:
        page = b"<html>Please log in</html>"
        reply.head(200, f"Content-Length: {len(page)}", "Content-Type: text/html; charset=utf-8")
        reply.raw(page)

    def a_login_page_in_disguise(self, request: Request, reply: Reply) -> None:
        page = b"<html>Please log in</html>".ljust(len(self.content))
        reply.head(200, f"Content-Length: {len(page)}", "Content-Type: application/octet-stream")
        reply.raw(page)

    def silent(self, request: Request, reply: Reply) -> None:
        reply.wait(PATIENCE_S)

    def stalled_for_good(self, request: Request, reply: Reply) -> None:
        reply.head(200, f"Content-Length: {len(self.content)}")
        reply.wait(PATIENCE_S)

    def a_head_without_end(self, request: Request, reply: Reply) -> None:
        reply.raw(b"HTTP/1.1 200 OK\r\n")
        drip(reply, b"X-Slow: x\r\n" * 1000, 0.01)


ARRIVES = [name for name in vars(Case) if not name.startswith("_")]
ARRIVES = ARRIVES[: ARRIVES.index("one_wrong_bit")]
FAILS: dict[str, type[Exception]] = {
    "one_wrong_bit": ChecksumWrong,
    "wrong_after_a_cut": ChecksumWrong,
    "too_short": SourceRefused,
    "too_long": SourceRefused,
    "less_than_announced": DownloadFailed,
    "length_is_a_word": DownloadFailed,
    "length_is_negative": DownloadFailed,
    "two_lengths": DownloadFailed,
    "endless": SourceRefused,
    "another_range": SourceRefused,
    "a_range_that_is_none": SourceRefused,
    "a_range_of_another_length": SourceRefused,
    "partial_without_a_range": SourceRefused,
    "partial_unasked": SourceRefused,
    "in_several_parts": SourceRefused,
    "range_refused_always": DownloadFailed,
    "changes_every_time": DownloadFailed,
    "shrinks_meanwhile": SourceRefused,
    "redirected_in_a_circle": SourceUnsafe,
    "redirected_with_a_password": SourceUnsafe,
    "compressed": SourceRefused,
    "a_login_page": SourceRefused,
    "a_login_page_in_disguise": SourceRefused,
    "silent": DownloadFailed,
    "stalled_for_good": DownloadFailed,
    "a_head_without_end": DownloadFailed,
}
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

    def script(request: Request, reply: Reply) -> None:
        if name in RAW:
            reply.raw(RAW[name])
        elif name in HEADS:
            _error, status, line = HEADS[name]
            reply.head(status, *filter(None, ("Content-Length: 0", line)))
        elif request.number:
            reply.file(content)
        else:
            reply.head(FIRST_HEADS[name], "Content-Length: 0")

    return getattr(Case(content), name, script)


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
    cases = {name for name in vars(Case) if not name.startswith("_")}
    assert cases <= set(ARRIVES) | set(FAILS)
    assert len(ARRIVES) + len(FAILS) >= 60


@pytest.mark.parametrize("name", ARRIVES)
def test_the_right_file_arrives(
    name: str, content: bytes, attempt: Callable[..., Path], quick: RetryPolicy
) -> None:
    path = attempt(script_of(name, content), policy_for(name, quick))
    assert path.read_bytes() == content
    assert not everything_below(path.parent / STAGING)
    assert (path.parent / ".checksums" / f"{NAME}.sha256").exists()


@pytest.mark.parametrize("name", FAILS)
def test_no_wrong_file_arrives(
    name: str, content: bytes, attempt: Callable[..., Path], quick: RetryPolicy, tmp_path: Path
) -> None:
    with pytest.raises(FAILS[name]) as caught:
        attempt(script_of(name, content), policy_for(name, quick))
    assert type(caught.value) is FAILS[name]
    assert not list((tmp_path / "outside" / "models").glob("*.gguf"))
    assert "?" not in str(caught.value).replace("?download", "")  # every fact is filled in


def test_a_compressed_answer_is_refused_before_it_is_read(
    content: bytes, attempt: Callable[..., Path]
) -> None:
    def script(request: Request, reply: Reply) -> None:
        reply.file(content, extra=("Content-Encoding: gzip",))

    with pytest.raises(SourceRefused, match="compressed"):
        attempt(script)


def test_bytes_that_are_sent_again_are_no_progress(
    content: bytes, quick: RetryPolicy, tmp_path: Path
) -> None:
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

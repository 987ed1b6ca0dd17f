"""One request to a server that may be broken or hostile: its answer, checked before it is used.

Follows redirects by itself, to https only, and believes no length, range or encoding that does not
fit together. What may get better with time is `Interrupted`; everything else is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx

from deepseek_r1.catalogue.errors import ProxyUnusable, SourceRefused, SourceUnsafe
from deepseek_r1.catalogue.rules import Rules
from deepseek_r1.core.words import tr

_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 8
_LOOPBACK = "127.0.0.1"
_MOST_RETRY_AFTER_S = 120.0


class Interrupted(Exception):
    """The connection failed in a way that another attempt may mend."""

    def __init__(self, detail: str, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.wait_s = wait_s  # as the server asks


class RangeGone(Exception):
    """The server's file is not as long as what has come of it: it is another one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A file, called `file` in messages, from byte `first` on, if it still has `etag`."""

    url: str
    file: str
    first: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The file's bytes from `first` on. `etag` is None unless it is a strong one."""

    host: str
    first: int
    total_bytes: int | None
    etag: str | None
    body: AsyncIterator[bytes]


def client(rules: Rules, file: str) -> httpx.AsyncClient:
    """A client with the environment's proxies and the system's certificates beside certifi's.

    Raises ProxyUnusable: httpx knows http proxies, and settings may name another kind, a strange
    address or certificates that are not there.
    """
    try:
        trust = httpx.create_ssl_context()
        trust.load_default_certs()
        return httpx.AsyncClient(
            verify=trust,
            follow_redirects=False,
            headers={"User-Agent": "r1desk", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(rules.stall_s, connect=rules.connect_s),
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise ProxyUnusable(file=file, detail=str(error)) from error


@contextlib.asynccontextmanager
async def ask(http: httpx.AsyncClient, question: Question, rules: Rules) -> AsyncIterator[Answer]:
    """Ask for a file from a byte on, if it is still the one with the question's `etag`.

    Raises SourceRefused, SourceUnsafe, RangeGone or Interrupted, the last also while the body is
    read.
    """
    file, first = question.file, question.first
    headers = {"Range": f"bytes={first}-"} if first else {}
    if first and question.etag is not None:
        headers["If-Range"] = question.etag
    address = _safe_address(question.url, file, rules, came_from=None)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(_MOST_REDIRECTS + 1):
            with _network_errors(address, file):
                async with asyncio.timeout(rules.connect_s + rules.stall_s):
                    response = await stack.enter_async_context(
                        http.stream("GET", address, headers=headers)
                    )
            if response.status_code not in _REDIRECTS:
                yield _judge(response, address, file, first)
                return
            address = _redirected(response, address, file, rules)
            await stack.aclose()
        raise SourceUnsafe(file=file, detail=tr("The address leads around in a circle."))


def _safe_address(
    url: str | httpx.URL, file: str, rules: Rules, *, came_from: httpx.URL | None
) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceUnsafe(file=file, detail=tr("The address is none.")) from error
    under_test = rules.loopback_http and address.scheme == "http" and address.host == _LOOPBACK
    if not (address.scheme == "https" or under_test) or not address.host or address.userinfo:
        shown = str(address)[:200]
        detail = tr("Only addresses with https are used, and {address} is none.", address=shown)
        raise SourceUnsafe(file=file, detail=detail)
    if came_from is not None and _is_local(address.host) and not _is_local(came_from.host):
        detail = tr("{host} led to an address inside your own network.", host=came_from.host)
        raise SourceUnsafe(file=file, detail=detail)
    return address


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _redirected(response: httpx.Response, address: httpx.URL, file: str, rules: Rules) -> httpx.URL:
    target = response.headers.get("location", "")
    if not target:
        raise _refused(address, file, tr("the address has moved, and it does not say where"))
    try:
        joined = address.join(target)
    except (httpx.InvalidURL, ValueError) as error:
        raise SourceUnsafe(file=file, detail=tr("The address is none.")) from error
    return _safe_address(joined, file, rules, came_from=address)


def _judge(response: httpx.Response, address: httpx.URL, file: str, first: int) -> Answer:
    """What the answer is worth."""
    status = response.status_code
    if status in _TRY_AGAIN:
        raise Interrupted(
            tr("{host} answered: status {status}", host=address.host, status=status),
            _retry_after_s(response),
        )
    if status in (401, 403):
        raise _refused(address, file, tr("access is not allowed (status {n})", n=status))
    if status in (404, 410):
        raise _refused(address, file, tr("there is no such file (status {n})", n=status))
    if status not in (200, 206, 416) or (status != 200 and not first):
        raise _refused(address, file, tr("status {n}", n=status))
    if status == 416:
        raise RangeGone
    _require_plain(response, address, file)
    start, total = _place(response, address, file, first)
    return Answer(
        host=address.host,
        first=start,
        total_bytes=total,
        etag=_strong_etag(response),
        body=_body(response, address, file),
    )


def _require_plain(response: httpx.Response, address: httpx.URL, file: str) -> None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise _refused(address, file, tr("it sends the file compressed, which was not asked for"))
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith(("text/html", "multipart/", "application/json")):
        raise _refused(address, file, tr("it sends a page instead of the file"))


def _place(
    response: httpx.Response, address: httpx.URL, file: str, first: int
) -> tuple[int, int | None]:
    """Where the body begins in the file, and how large the file is."""
    length = _length(response, address, file)
    if response.status_code == 200:
        return 0, length
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if found is None:
        raise _refused(address, file, tr("it does not say which part of the file it sends"))
    start, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    right = start == first and last >= start and (total is None or last < total)
    if not right or (length is not None and length != last - start + 1):
        raise _refused(address, file, tr("it sends another part of the file than was asked for"))
    return start, total


def _length(response: httpx.Response, address: httpx.URL, file: str) -> int | None:
    text = response.headers.get("content-length")
    if text is None or "transfer-encoding" in response.headers:
        return None
    if not re.fullmatch(r"\d{1,15}", text):
        raise _refused(address, file, tr("it gives a length that is none"))
    return int(text)


def _strong_etag(response: httpx.Response) -> str | None:
    etag: str = response.headers.get("etag", "")
    strong = re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag)
    return etag if strong else None


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), _MOST_RETRY_AFTER_S) if re.fullmatch(r"\d{1,6}", text) else None


async def _body(response: httpx.Response, address: httpx.URL, file: str) -> AsyncIterator[bytes]:
    with _network_errors(address, file):
        async for chunk in response.aiter_raw():
            yield chunk


@contextlib.contextmanager
def _network_errors(address: httpx.URL, file: str) -> Iterator[None]:
    """Trouble on the way becomes `Interrupted`, an unproven server `SourceUnsafe`."""
    host = address.host
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise Interrupted(tr("{host} cannot be reached", host=host)) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise Interrupted(tr("{host} sends nothing more", host=host)) from error
    except (httpx.ConnectError, httpx.ProxyError) as error:
        if _is_untrusted(error):
            detail = tr("{host} cannot prove that it is what it says.", host=host)
            raise SourceUnsafe(file=file, detail=detail) from error
        raise Interrupted(tr("{host} cannot be reached", host=host)) from error
    except httpx.TransportError as error:
        raise Interrupted(tr("the connection to {host} was cut", host=host)) from error


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refused(address: httpx.URL, file: str, detail: str) -> SourceRefused:
    return SourceRefused(file=file, host=address.host, detail=detail)

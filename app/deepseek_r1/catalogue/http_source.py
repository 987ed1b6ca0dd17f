"""Sends one request to a server that may be broken or hostile, and checks the response.

Follows redirects itself, to https only, and refuses lengths, ranges and encodings that contradict
each other. A failure that may pass with time is `Interrupted`; every other failure is an error.
"""

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from typing import TypeVar

import certifi
import httpx2

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec, RetryPolicy
from deepseek_r1.catalogue.errors import DownloadStopped, ProxyUnusable, SourceRefused, SourceUnsafe
from deepseek_r1.core.i18n import tr

_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 8
LOOPBACK = "127.0.0.1"
_MOST_RETRY_AFTER_S = 120.0
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # to IPv4, by the network


class Interrupted(Exception):
    """The connection failed; another attempt may succeed."""

    def __init__(self, detail: str, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.wait_s = wait_s  # from the server's Retry-After


class RangeGone(Exception):
    """The server's file is shorter than the partial file, so it is another file."""


def sentence(detail: str) -> str:
    """The detail of an `Interrupted` as a sentence; the name of a host keeps its small letter."""
    first, _, rest = detail.partition(" ")
    begun = first if "." in first else f"{first[:1].upper()}{first[1:]}"
    return f"{begun} {rest}.".replace(" .", ".")


@dataclass(frozen=True, slots=True)
class CheckedResponse:
    """A response with the file's bytes from `first`. `etag` is None unless it is a strong one."""

    host: str
    first: int
    total_bytes: int | None
    etag: str | None
    body: AsyncIterator[bytes]


def client(policy: RetryPolicy, file: str) -> httpx2.AsyncClient:
    """Returns a client with the environment's proxies, and the system's and certifi's certificates.

    Certificates that the environment names (SSL_CERT_FILE, SSL_CERT_DIR) replace certifi's.

    Raises ProxyUnusable: httpx2 supports http proxies only, and settings may name another kind, an
    invalid address or missing certificates.
    """
    try:
        trust = httpx2.create_ssl_context()
        trust.load_default_certs()
        if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
            trust.load_verify_locations(certifi.where())
        return httpx2.AsyncClient(
            verify=trust,
            follow_redirects=False,
            headers={"User-Agent": "r1desk", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(policy.stall_s, connect=policy.connect_s),
        )
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as error:
        raise ProxyUnusable(file=file, detail=str(error)) from error


@contextlib.asynccontextmanager
async def fetch(
    http: httpx2.AsyncClient, spec: DownloadSpec, policy: RetryPolicy, first: int, etag: str | None
) -> AsyncIterator[CheckedResponse]:
    """Request a file from byte `first`, on condition that it still has `etag`.

    Raises SourceRefused, SourceUnsafe, RangeGone and Interrupted; the last also while the body is
    read.
    """
    headers = {"Range": f"bytes={first}-"} if first else {}
    if first and etag is not None:
        headers["If-Range"] = etag
    async with _open(http, spec.url, spec.file, policy, headers) as response:
        yield _check_response(response, spec.file, first)


async def fetch_start(
    http: httpx2.AsyncClient, url: str, file: str, policy: RetryPolicy, most_bytes: int
) -> bytes:
    """The first bytes of a file, `most_bytes` or all of it. Raises as `fetch` does."""
    headers = {"Range": f"bytes=0-{most_bytes - 1}"}
    async with _open(http, url, file, policy, headers) as response:
        if response.status_code != 206:  # a server may send the whole file instead
            _check_response(response, file, 0)
        return (await _read(response, file, most_bytes, policy))[:most_bytes]


async def fetch_document(
    http: httpx2.AsyncClient, url: str, name: str, policy: RetryPolicy, most_bytes: int
) -> bytes:
    """A short document. Raises as `fetch` does, and SourceRefused for a longer one."""
    async with _open(http, url, name, policy, {}) as response:
        _check_status(response, name, 0)
        data = await _read(response, name, most_bytes + 1, policy)
        if len(data) > most_bytes:
            raise _refused(response, name, tr("its list is too long"))
        return data


async def _read(response: httpx2.Response, file: str, enough: int, policy: RetryPolicy) -> bytes:
    """The body, at least `enough` bytes of it where it has so many."""
    data = bytearray()
    with network_errors(response.url, file):
        async with asyncio.timeout(policy.connect_s + policy.stall_s):
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) >= enough:
                    break
    return bytes(data)


@contextlib.asynccontextmanager
async def _open(
    http: httpx2.AsyncClient, url: str, file: str, policy: RetryPolicy, headers: dict[str, str]
) -> AsyncIterator[httpx2.Response]:
    """Send the request, follow redirects and yield the last response."""
    address = _safe_address(url, file, policy)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_REDIRECTS + 1):
            with network_errors(address, file):
                async with asyncio.timeout(policy.connect_s + policy.stall_s):
                    response = await stack.enter_async_context(
                        http.stream("GET", address, headers=headers)
                    )
            if response.status_code not in REDIRECTS:
                yield response
                return
            address = await _redirected(response, file, policy)
            await stack.aclose()
        raise SourceUnsafe(file=file, detail=tr("The address redirects in a loop."))


def _safe_address(
    url: str, file: str, policy: RetryPolicy, base: httpx2.URL | None = None
) -> httpx2.URL:
    try:
        address = httpx2.URL(url) if base is None else base.join(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise SourceUnsafe(file=file, detail=tr("The address is not valid.")) from error
    under_test = policy.loopback_http and address.scheme == "http" and address.host == LOOPBACK
    if not (address.scheme == "https" or under_test) or not address.host or address.userinfo:
        shown = str(address)[:200]
        detail = tr("Only https addresses can be used, not {address}.", address=shown)
        raise SourceUnsafe(file=file, detail=detail)
    return address


async def _refuse_inside(
    address: httpx2.URL, file: str, policy: RetryPolicy, came_from: httpx2.URL
) -> None:
    """Refuse a redirect from outside to an address inside the user's network.

    The addresses that the name means are what counts, however it is written. Behind a proxy, which
    resolves the names itself, only those that can be resolved here are checked.
    Raises SourceUnsafe.
    """
    if await _is_local(address, policy) and not await _is_local(came_from, policy):
        detail = tr("{host} redirected to an address inside your own network.", host=came_from.host)
        raise SourceUnsafe(file=file, detail=detail)


async def _is_local(address: httpx2.URL, policy: RetryPolicy) -> bool:
    host = address.host.rstrip(".").lower()
    if host == "localhost" or host.endswith((".localhost", ".local")):
        return True
    with contextlib.suppress(ValueError):
        return not is_outside(host)
    resolve = asyncio.get_running_loop().getaddrinfo
    try:
        async with asyncio.timeout(policy.connect_s):
            found = await resolve(host, address.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return "." not in host  # a name of the local network that only a proxy knows
    return not all(is_outside(str(each[4][0])) for each in found)


def is_outside(address: str) -> bool:
    """Whether an IP address is of the public internet; that of IPv4 within IPv6 counts.

    Raises ValueError for a text that is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if ip in _TRANSLATED else inner or ip
    return ip.is_global and not ip.is_multicast


async def _redirected(response: httpx2.Response, file: str, policy: RetryPolicy) -> httpx2.URL:
    target = response.headers.get("location", "")
    if not target:
        raise _refused(response, file, tr("it redirects without giving an address"))
    address = _safe_address(target, file, policy, response.url)
    await _refuse_inside(address, file, policy, came_from=response.url)
    return address


def _check_response(response: httpx2.Response, file: str, first: int) -> CheckedResponse:
    """Returns the response after checking its status, encoding, type and range."""
    _check_status(response, file, first)
    if response.status_code == 416:
        raise RangeGone
    _require_plain(response, file)
    start, total = _place(response, file, first)
    etag: str = response.headers.get("etag", "")
    strong = re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag) is not None
    body = _body(response, file)
    return CheckedResponse(response.url.host, start, total, etag if strong else None, body)


def _check_status(response: httpx2.Response, file: str, first: int) -> None:
    status = response.status_code
    if status in _TRY_AGAIN:
        after = response.headers.get("retry-after", "")
        raise Interrupted(
            tr("{host} replied: status {status}", host=response.url.host, status=status),
            min(float(after), _MOST_RETRY_AFTER_S) if re.fullmatch(r"\d{1,6}", after) else None,
        )
    if status in (401, 403):
        raise _refused(response, file, tr("access is not allowed (status {n})", n=status))
    if status in (404, 410):
        raise _refused(response, file, tr("there is no such file (status {n})", n=status))
    if status not in (200, 206, 416) or (status != 200 and not first):
        raise _refused(response, file, tr("status {n}", n=status))


def _require_plain(response: httpx2.Response, file: str) -> None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise _refused(response, file, tr("it sends the file compressed, which was not requested"))
    kind = response.headers.get("content-type", "").lower()
    if kind.startswith(("text/html", "multipart/", "application/json")):
        raise _refused(response, file, tr("it sends a page instead of the file"))


def _place(response: httpx2.Response, file: str, first: int) -> tuple[int, int | None]:
    """Returns the offset of the body in the file, and the size of the file if it is known."""
    length = _length(response, file)
    if response.status_code == 200:
        return 0, length
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if found is None:
        raise _refused(response, file, tr("it does not say which part of the file it sends"))
    start, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    right = start == first and last >= start and (total is None or last < total)
    if not right or (length is not None and length != last - start + 1):
        raise _refused(response, file, tr("it sends another part of the file than requested"))
    return start, total


def _length(response: httpx2.Response, file: str) -> int | None:
    text = response.headers.get("content-length")
    if text is None or "transfer-encoding" in response.headers:
        return None
    if not re.fullmatch(r"\d{1,15}", text):
        raise _refused(response, file, tr("it reports an invalid length"))
    return int(text)


async def _body(response: httpx2.Response, file: str) -> AsyncIterator[bytes]:
    with network_errors(response.url, file):
        async for chunk in response.aiter_raw():
            yield chunk


@contextlib.contextmanager
def network_errors(address: httpx2.URL, file: str) -> Iterator[None]:
    """Turn network errors into `Interrupted`, failed certificate checks into `SourceUnsafe`."""
    host = address.host
    try:
        yield
    except httpx2.ConnectTimeout as error:
        raise Interrupted(tr("{host} cannot be reached", host=host)) from error
    except (httpx2.TimeoutException, TimeoutError) as error:
        raise Interrupted(tr("{host} has stopped sending", host=host)) from error
    except (httpx2.ConnectError, httpx2.ProxyError) as error:
        if _is_untrusted(error):
            detail = tr("{host} cannot prove its identity.", host=host)
            raise SourceUnsafe(file=file, detail=detail) from error
        raise Interrupted(tr("{host} cannot be reached", host=host)) from error
    except httpx2.TransportError as error:
        raise Interrupted(tr("the connection to {host} was cut", host=host)) from error


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refused(response: httpx2.Response, file: str, detail: str) -> SourceRefused:
    return SourceRefused(file=file, host=response.url.host, detail=detail)


Result = TypeVar("Result")


def run_until_stopped(work: Coroutine[None, None, Result], stop: Stop, file: str) -> Result:
    """Run `work` in a loop of its own until it ends or `stop` is requested; returns its result.

    The loop is closed without waiting for its threads: a DNS look-up may take long. Raises
    DownloadStopped, which names `file`.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    stop.set_wake(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as cancelled:
        raise DownloadStopped(file=file) from cancelled
    finally:
        stop.set_wake(None)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

"""Fetches one web page: once, as it is, and from servers outside of the user's network alone."""

import asyncio
import codecs
import contextlib
import re
import socket
from typing import Final, NamedTuple

import httpx2

from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.errors import DownloadFailed, PageNotRead
from deepseek_r1.catalogue.http_source import (
    LOOPBACK,
    MOST_REDIRECTS,
    REDIRECTS,
    Interrupted,
    client,
    is_outside,
    network_errors,
)
from deepseek_r1.core.i18n import tr

MOST_BYTES: Final = 5 << 20
_LONGEST_S: Final = 30.0
_MOST_TRIED: Final = 3  # addresses of one server
_SHOWN_CHARACTERS: Final = 100
_PAGES: Final = ("text/html", "application/xhtml")
_CHARSET: Final = re.compile(r"[\w-]{2,20}", re.ASCII)


class FetchedPage(NamedTuple):
    """A page as the server sent it, and its address after all redirects."""

    address: str
    data: bytes


async def fetch_page(address: str, policy: RetryPolicy) -> FetchedPage:
    """Fetch what is at an address. Raises PageNotRead.

    Each address, those of redirects too, is connected to as it was resolved and checked: a second
    look-up could give another one.
    """
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await _fetch(address, policy)
    except TimeoutError:
        raise _refused(address, tr("it takes too long")) from None
    except Interrupted as failed:
        raise _refused(address, failed.detail) from failed
    except PageNotRead:
        raise
    except DownloadFailed as failed:
        detail = str(failed.facts.get("detail", "")).rstrip(".")
        raise _refused(address, detail) from failed


async def _fetch(address: str, policy: RetryPolicy) -> FetchedPage:
    try:
        url = httpx2.URL(address)
        async with client(policy, address) as http:
            for _ in range(MOST_REDIRECTS + 1):
                async with contextlib.AsyncExitStack() as stack:
                    response = await _response(http, url, policy, stack)
                    if response.status_code not in REDIRECTS:
                        return FetchedPage(str(url), await _document(response, url))
                    url = url.join(response.headers.get("location", ""))
    except (httpx2.InvalidURL, ValueError):
        raise _refused(address, tr("the address is not valid")) from None
    raise _refused(address, tr("it redirects in a loop"))


async def _response(
    http: httpx2.AsyncClient, url: httpx2.URL, policy: RetryPolicy, stack: contextlib.AsyncExitStack
) -> httpx2.Response:
    """Connect to the first address of the server that answers. Raises Interrupted too."""
    host = url.raw_host.decode("ascii")
    # No connection is kept: another server at the same address has to prove who it is.
    headers = {"Host": url.netloc.decode("ascii"), "Connection": "close"}
    found = await _checked(url, policy)
    for at, each in enumerate(found):
        try:
            with network_errors(url, host):
                request = http.stream(
                    "GET",
                    url.copy_with(host=each),
                    headers=headers,
                    extensions={"sni_hostname": host},
                )
                return await stack.enter_async_context(request)
        except Interrupted:
            if at + 1 == len(found):
                raise
    raise Interrupted(tr("{host} cannot be reached", host=host))


async def _checked(url: httpx2.URL, policy: RetryPolicy) -> list[str]:
    """The addresses that a server has, in the system's order. Raises PageNotRead, Interrupted."""
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise _refused(url, tr("only http and https addresses can be read"))
    port = url.port or (443 if url.scheme == "https" else 80)
    resolve = asyncio.get_running_loop().getaddrinfo
    try:
        entries = await resolve(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Interrupted(tr("{host} cannot be reached", host=url.host)) from None
    found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    permitted = {LOOPBACK} if policy.loopback_http else set[str]()
    if not all(is_outside(each) or each in permitted for each in found):
        raise _refused(url, tr("the address is inside your own network"))
    return found[:_MOST_TRIED]


async def _document(response: httpx2.Response, url: httpx2.URL) -> bytes:
    """The body, which of HTML begins with its kind and what the server declares of its text."""
    if response.status_code != httpx2.codes.OK:
        raise _refused(url, tr("the server answered with status {n}", n=response.status_code))
    if response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        raise _refused(url, tr("the server sends it compressed, which was not requested"))
    data = bytearray()
    with network_errors(url, url.host):
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > MOST_BYTES:
                raise _refused(url, tr("it is larger than {n} MB", n=MOST_BYTES >> 20))
    if not response.headers.get("content-type", "").lower().startswith(_PAGES):
        return bytes(data)
    charset = response.charset_encoding or ""
    declared = f'<meta charset="{charset}">' if _CHARSET.fullmatch(charset) else ""
    return f"<!doctype html>{declared}".encode() + bytes(data).removeprefix(codecs.BOM_UTF8)


def _refused(address: str | httpx2.URL, detail: str) -> PageNotRead:
    text = str(address)
    name = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return PageNotRead(name=name, detail=detail)

"""Decides which addresses in a model's text may become links."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_DOMAIN = re.compile(r"(?:https?://)?(?:[^\s/@]+@)?((?:[\w-]+\.)+[^\W\d]{2,})", re.IGNORECASE)
_MAX_ADDRESS = 2_000


def web_address(href: str) -> str | None:
    """`href` if it is a complete http or https address, else None.

    An address with user-info (`https://docs.example@evil.example/`) is none: nobody links so, and
    it hides the host.
    """
    if len(href) > _MAX_ADDRESS or any(ord(c) <= 0x20 or c in "\\\x7f" for c in href):
        return None
    try:
        parts = urlsplit(href)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        return None
    return href


def disguised(label: str, href: str) -> str | None:
    """The true host of `href` when `label` reads like the address of another one."""
    named = _DOMAIN.match(label.strip())
    host = urlsplit(href).hostname or ""
    if not named:
        return None
    return (
        None if named.group(1).lower().removeprefix("www.") == host.removeprefix("www.") else host
    )

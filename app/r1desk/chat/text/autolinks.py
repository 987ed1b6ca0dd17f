"""Addresses that stand bare in a text become links, as GitHub's Markdown does it."""

from __future__ import annotations

import re

from markdown_it.token import Token

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])https?://[^\s<>\"'`|\u3000-\u303f\uff00-\uffef\u2018-\u201d\u4e00-\u9fff]+",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"[.,;:!?*_~'\"]+\Z")
_MAX_LINKS = 200  # in one paragraph


def with_autolinks(children: list[Token]) -> list[Token]:
    """`children` of an inline token, with links for bare http and https addresses."""
    if not any("://" in child.content for child in children if child.type == "text"):
        return children
    result: list[Token] = []
    inside_link = 0
    for child in children:
        if child.type in {"link_open", "link_close"}:
            inside_link += child.nesting
        if child.type == "text" and not inside_link and len(result) < _MAX_LINKS:
            result.extend(_parted(child))
        else:
            result.append(child)
    return result


def _parted(text: Token) -> list[Token]:
    parts: list[Token] = []
    done = 0
    for found in _ADDRESS.finditer(text.content):
        address = _trimmed(found.group())
        if len(address) <= len("https://"):
            continue
        parts += _text(text, text.content[done : found.start()])
        opening = Token("link_open", "a", 1, attrs={"href": address}, level=text.level)
        parts += [opening, *_text(text, address), Token("link_close", "a", -1, level=text.level)]
        done = found.start() + len(address)
    return [*parts, *_text(text, text.content[done:])] if parts else [text]


def _trimmed(address: str) -> str:
    """Without what ends the sentence around it, or closes a parenthesis that it did not open."""
    while True:
        shorter = _TRAILING.sub("", address)
        if shorter.endswith(")") and shorter.count(")") > shorter.count("("):
            shorter = shorter[:-1]
        if shorter == address:
            return address
        address = shorter


def _text(like: Token, content: str) -> list[Token]:
    return [like.copy(content=content)] if content else []

"""The tags of a page of HTML and the text between them."""

import re
from collections.abc import Callable
from html import unescape
from typing import Final

_TAG: Final = re.compile(r"</?([a-zA-Z][^\s/>]*)")
# Of a tag: its end, or a name with a value.
_ATTRIBUTE: Final = re.compile(
    r"""[\s/]*(?:(>)|([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?)"""
)
_COMMENT_END: Final = re.compile(r"--!?>")
_RAW: Final = {  # elements whose text is no markup, and how it ends
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
_NO_CHARACTER: Final = re.compile(r"&(?=#[xX]?[0-9a-fA-F]{9})")  # Python counts such digits


def walk_page(
    page: str,
    start: Callable[[str, dict[str, str]], object],
    end: Callable[[str], object],
    text: Callable[[str], object],
) -> None:
    """Call back for the tags of a page and for the text between them, in their order.

    The time is that of the page's length: `html.parser` looks for the same end again and again.
    What has no end goes to the end of the page, as in browsers.
    """
    at = 0

    def put(until: int) -> None:
        if until > at:
            text(_plain(page[at:until]))

    while (found := page.find("<", at)) >= 0:
        tag = _TAG.match(page, found)
        if tag is None and not page.startswith(("<!", "<?", "</"), found):
            put(found + 1)
            at = found + 1
            continue
        put(found)
        if tag is None:  # a comment, or what is taken for one
            at = _after_comment(page, found)
            continue
        name, (attributes, at) = tag[1].lower(), _attributes(page, tag.end())
        if not at:  # the page ends within the tag
            return
        closes = page[found + 1] == "/"
        if not closes:
            start(name, attributes)
        if closes or page[at - 2] == "/":
            end(name)
        elif name in _RAW:
            closed = _RAW[name].search(page, at)
            put(until := closed.start() if closed else len(page))
            at = until
    put(len(page))


def _attributes(page: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes of a tag, and where the text after it begins; 0 for a tag without an end."""
    found: dict[str, str] = {}
    while (part := _ATTRIBUTE.match(page, at)) is not None:
        at = part.end()
        if part[1]:
            return found, at
        value = part[3] or ""
        found.setdefault(part[2].lower(), _plain(value[1:-1] if value[:1] in "\"'" else value))
    return found, 0


def _after_comment(page: str, at: int) -> int:
    if not page.startswith("<!--", at):
        return (page.find(">", at) + 1) or len(page)
    if page.startswith((">", "->"), at + 4):  # an empty one
        return page.index(">", at) + 1
    found = _COMMENT_END.search(page, at + 4)
    return found.end() if found else len(page)


def _plain(text: str) -> str:
    return unescape(_NO_CHARACTER.sub("&amp;", text)) if "&" in text else text

"""The tags of a page of HTML, the text between them, and what a browser does not show."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
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
_VOID: Final = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_UNSHOWN: Final = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE
)
_ENDING_NOTHING: Final = _VOID | {"p"}  # a paragraph that something ended before
_SHOWN_LATER: Final = frozenset({"html", "body"})  # a script shows all of the page
# Elements that may end without a tag, and what begins at their end; not within another container.
_ROWS: Final = frozenset({"tr", "tbody", "tfoot", "thead"})
_ENDED_BY: Final = {
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option", "optgroup"}),
    "tr": _ROWS,
    "td": frozenset({"td", "th"}) | _ROWS,
    "th": frozenset({"td", "th"}) | _ROWS,
    "p": frozenset(
        """address article aside blockquote details div dl fieldset figure footer form h1 h2 h3 h4
        h5 h6 header hr main nav ol p pre section table ul""".split()  # noqa: SIM905
    ),
}


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


class HiddenPart:
    """Follows tags, to know what is inside of an element that is not shown.

    `aria-hidden` is seen; so is what has `hidden="until-found"`, and what a style sheet hides.
    """

    def __init__(self) -> None:
        self._open: list[str] = []  # the hidden element, and those open in it
        self._counts: Counter[str] = Counter()  # of these; a page may be very deep

    def __bool__(self) -> bool:
        """Whether what comes now is not shown."""
        return bool(self._open)

    def start(self, name: str, attributes: Mapping[str, str]) -> bool:
        """Take a tag; returns whether its element is not shown."""
        while self._open and name in _ENDED_BY.get(self._open[-1], ()):
            self._pop()
        if name not in _VOID and (self._open or _hides(name, attributes)):
            self._open.append(name)
            self._counts[name] += 1
        return bool(self._open)

    def end(self, name: str) -> bool:
        """Take the tag of an end; returns whether it is that of an element that is not shown."""
        if self._counts[name]:
            while self._pop() != name:
                pass
            return True
        if name not in _ENDING_NOTHING:  # what is around the hidden element ends
            self._open.clear()
            self._counts.clear()
        return bool(self._open)

    def _pop(self) -> str:
        self._counts[name := self._open.pop()] -= 1
        return name


def _hides(name: str, attributes: Mapping[str, str]) -> bool:
    hidden = attributes.get("hidden", "until-found").lower() != "until-found"
    unshown = hidden or _UNSHOWN.search(attributes.get("style", ""))
    return bool(unshown) and name not in _SHOWN_LATER

"""Elements of a page that a browser does not show."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

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
        [
            "address",
            "article",
            "aside",
            "blockquote",
            "details",
            "div",
            "dl",
            "fieldset",
            "figure",
            "footer",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "header",
            "hr",
            "main",
            "nav",
            "ol",
            "p",
            "pre",
            "section",
            "table",
            "ul",
        ]
    ),
}


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

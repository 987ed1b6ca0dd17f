"""The text of HTML, and of the XML that office programs save: one walk, and a table for each."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from html import unescape
from typing import Final

from deepseek_r1.documents.block_writer import BlockWriter

_PARAGRAPH, _HEADING, _ROW, _CELL, _LEFT_OUT, _TABLE, _INLINE, _SLIDE, _PICTURE = range(9)


def _roles(table: Mapping[int | str, str]) -> Mapping[str, int | str]:
    return {name: role for role, names in table.items() for name in names.split()}


# What elements mean, by their names without a prefix; a text stands for itself.
HTML: Final = _roles({
    _PARAGRAPH: "address article aside blockquote body caption center dd details div dl dt "
    "fieldset figcaption figure footer form header hr html legend li main nav ol option p pre "
    "section summary ul",
    _HEADING: "h1 h2 h3 h4 h5 h6", _ROW: "tr", _CELL: "td th", _TABLE: "table", "\n": "br",
    _LEFT_OUT: "title script style template svg select object", _PICTURE: "img",
})  # fmt: skip
# Left out: a drawing's copy for old programs, what was moved away, stops of tabulators.
OFFICE: Final = _roles({
    _PARAGRAPH: "p", _ROW: "tr", _CELL: "tc", _TABLE: "tbl", "\n": "br cr", "\t": "tab",
    "-": "noBreakHyphen", _LEFT_OUT: "Fallback moveFrom tabs tabLst fld",
    _PICTURE: "blip imagedata",
})  # fmt: skip
OPEN_DOCUMENT: Final = _roles({
    _PARAGRAPH: "p", _HEADING: "h", _ROW: "table-row", _CELL: "table-cell covered-table-cell",
    _TABLE: "table", "\n": "line-break", "\t": "tab", " ": "s", _INLINE: "note-body",
    _SLIDE: "page", _LEFT_OUT: "annotation tracked-changes forms note-citation scripts "
    "automatic-styles font-face-decls desc", _PICTURE: "image",
})  # fmt: skip
WEB_PAGE: Final = {**HTML, **_roles({_LEFT_OUT: "nav header footer aside"})}
_ARTICLES: Final = {"article", "main"}
_REFERENCES = ("embed", "href", "src", "id")  # attributes of pictures
_ITEMS = {"numPr", "list-item"}
_TITLES = {"title", "ctrTitle"}
_SPACE = re.compile(r"\s+")
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

# A reference to a picture to its text, "" for none, and how sure that is.
PictureText = Callable[[str], tuple[str, float | None]]


class MarkupText:
    """Writes paragraphs, headings and rows.

    `roles` is a table above. Where `text_in` is given, text stands in these elements alone.
    `headings` are the identifiers of paragraphs' styles. `picture_text` gets a reference to a
    picture where it stands.
    """

    def __init__(
        self,
        writer: BlockWriter,
        roles: Mapping[str, int | str] = HTML,
        text_in: str = "",
        headings: Collection[str] = (),
        picture_text: PictureText = lambda _reference: ("", None),
    ) -> None:
        self._writer, self._roles, self._picture_text = writer, roles, picture_text
        self._text_in, self._headings = text_in, headings
        self._left_out, self._depth = "", 0  # the element that is left out, and how often it began
        self._texts = self._inline = self._literal = 0  # open elements of these kinds
        self._is_heading = self._is_title = False
        self._is_item = False  # of a list, whose text has not begun
        self._hidden, self._is_page = HiddenPart(), "nav" in roles
        self._articles = 0  # that are open

    def write(self, page: str) -> None:
        walk_page(page, self.start, self.end, self.text)
        self._writer.end_row()

    def _role(self, name: str) -> int | str | None:
        """An article's own header has its title."""
        return _PARAGRAPH if self._articles and name == "header" else self._roles.get(name)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        role, writer = self._role(name), self._writer
        if self._is_page and not self._left_out and self._hidden.start(name, attributes):
            if role in {_PARAGRAPH, _HEADING}:
                self._end_paragraph()
        elif self._left_out or role == _LEFT_OUT:
            self._left_out = self._left_out or name
            self._depth += name == self._left_out
        elif isinstance(role, str):
            times = attribute(attributes, "c")[:2]  # of spaces
            writer.add(role * int(times if times.isdecimal() else 1))
        elif role in {_PARAGRAPH, _HEADING}:
            self._end_paragraph()
            self._is_item |= name == "li"
            self._is_heading = role == _HEADING or self._is_title
            self._literal += name == "pre"
            self._articles += name in _ARTICLES
        elif role == _ROW:
            writer.begin_row()
        elif role == _CELL:
            writer.begin_cell()
        elif role == _TABLE:
            writer.end_row()  # one in another's cell ends that row
        elif role == _SLIDE:
            writer.page = (writer.page or 0) + 1
            writer.heading = ""
        elif role == _INLINE:
            self._inline += 1
        else:
            self._texts += name == self._text_in
            self._find(name, attributes)

    def _find(self, name: str, attributes: Mapping[str, str]) -> None:
        """Headings, items of lists and pictures."""
        if name in _ITEMS:
            self._is_item = not self._is_heading
        elif name == "pStyle":
            self._is_heading = attribute(attributes, "val") in self._headings
        elif name == "ph":  # a slide's place for a title
            self._is_title = attributes.get("type") in _TITLES
        elif name == "frame":
            self._is_title = attribute(attributes, "class") in _TITLES
        elif self._roles.get(name) == _PICTURE:
            found = filter(None, (attribute(attributes, each) for each in _REFERENCES))
            text, sure = self._picture_text(next(found, ""))
            if text:
                self._writer.end_paragraph(is_heading=self._is_heading)
                self._writer.put_picture(text, sure)

    def end(self, name: str) -> None:
        role = self._role(name)
        if not self._left_out and self._hidden.end(name):
            pass
        elif self._left_out:
            self._depth -= name == self._left_out
            self._left_out = self._left_out if self._depth else ""
        elif role in {_PARAGRAPH, _HEADING}:
            self._end_paragraph(is_heading=self._is_heading)
            self._is_item &= name != "li"
            self._literal -= name == "pre" and self._literal > 0
            self._articles -= name in _ARTICLES and self._articles > 0
        elif role in {_ROW, _TABLE}:
            self._writer.end_row()
        elif role == _INLINE:
            self._inline -= 1
        elif role is None:
            self._texts -= name == self._text_in
            self._is_title = self._is_title and name not in {"sp", "frame"}

    def _end_paragraph(self, *, is_heading: bool = False) -> None:
        if self._inline:  # a note in the midst of a paragraph
            self._writer.add(" ")
        else:
            self._writer.end_paragraph(is_heading=is_heading)
            self._is_heading = False

    def text(self, data: str) -> None:
        if not self._left_out and not self._hidden and (self._texts or not self._text_in):
            keeps_space = self._text_in or self._literal
            if self._is_item and data.strip():
                self._is_item = False
                self._writer.add("• ")
            self._writer.add(data if keeps_space else _SPACE.sub(" ", data))


def attribute(attributes: Mapping[str, str], name: str) -> str:
    """The value of an attribute with a prefix, or else without; "" for none."""
    suffix = f":{name}"
    found = [value for each, value in attributes.items() if each.endswith(suffix)]
    return found[0] if found else attributes.get(name, "")


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

"""The lines of a document's passage as they are shown: headings, tables in columns, and text."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import groupby
from unicodedata import east_asian_width

from deepseek_r1.documents.document import PICTURE_MARK, Passage

_CELLS = " | "
_MARKDOWN_HEADING = re.compile(r" {0,3}#{1,6} +(\S.*)")
_MARKDOWN_RULE = re.compile(r"^(?=[\s:|]*+-{3})[\s:|-]++")
_BULLET = re.compile(r"^(\s*+)[*+-] ++(?=\S)")
_CLOSE = {"ROW", "• "}  # lines that belong together
_TERMS = 12  # with which a marked text begins and ends
_MOST_COLUMNS = 72  # characters of a table whose cells stand below each other


class LineKind(Enum):
    """The form that a line has."""

    TEXT = auto()
    HEADING = auto()
    ROW = auto()


Line = tuple[LineKind, str]


def passage_lines(passage: Passage) -> list[Line]:
    """The lines, each with its end, but for the last; rows of a table stand below each other."""
    markdown = passage.name.lower().endswith((".md", ".markdown"))
    lines = [(kind, f"{line}\n") for kind, line in _laid_out(list(_lines(passage, markdown)))]
    if lines:
        lines[-1] = lines[-1][0], lines[-1][1][:-1]
    return lines


def _lines(passage: Passage, markdown: bool) -> Iterator[Line]:
    at, headings = 0, set(passage.headings)
    for line in passage.text.split("\n"):
        found = _MARKDOWN_HEADING.fullmatch(line) if markdown else None
        if found is not None:
            yield LineKind.HEADING, found[1].rstrip("# ")
        elif passage.place.sure is not None and PICTURE_MARK.fullmatch(line):
            pass  # it stands above the text
        elif at in headings:
            yield LineKind.HEADING, line
        elif _CELLS in line and not (markdown and _MARKDOWN_RULE.fullmatch(line)):
            yield LineKind.ROW, line.strip("| ") if markdown else line
        elif not (markdown and _CELLS.strip() in line and _MARKDOWN_RULE.fullmatch(line)):
            yield LineKind.TEXT, _BULLET.sub(r"\1• ", line) if markdown else line
        at += len(line) + 1


def _laid_out(lines: Sequence[Line]) -> Iterator[Line]:
    """Rows with nothing but a blank line between them are a table; items of a list stand close."""

    def kind_at(at: int) -> str:
        kind, text = lines[at] if 0 <= at < len(lines) else (LineKind.TEXT, "")
        return kind.name if kind is LineKind.ROW else text.lstrip()[:2]

    close = [
        line
        for at, line in enumerate(lines)
        if line[1] or kind_at(at - 1) != kind_at(at + 1) or kind_at(at - 1) not in _CLOSE
    ]
    for kind, run in groupby(close, key=lambda line: line[0]):
        texts = [text for _, text in run]
        if kind is not LineKind.ROW or len(texts) == 1:
            yield from ((LineKind.TEXT if kind is LineKind.ROW else kind, text) for text in texts)
        else:
            yield from ((kind, text) for text in _in_columns(texts))


def _in_columns(rows: Sequence[str]) -> list[str]:
    cells = [row.split(_CELLS) for row in rows]
    count = max(map(len, cells))
    widths = [max(_width(row[at]) for row in cells if at < len(row)) for at in range(count)]
    if sum(widths) + len(_CELLS) * count > _MOST_COLUMNS:
        return [" │ ".join(row) for row in cells]
    return [
        " │ ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)
        ).rstrip()
        for row in cells
    ]


def _width(text: str) -> int:
    return len(text) + sum(east_asian_width(each) in "WF" for each in text)


def place_of(marked: str, shown: str) -> tuple[int, int] | None:
    """Where a text stands in one that is shown, whose spaces and signs may be others."""
    terms = re.findall(r"\w+", marked)
    if not terms:
        return None
    first, last = (r"\W+".join(map(re.escape, some)) for some in (terms[:_TERMS], terms[-_TERMS:]))
    if (start := re.search(first, shown)) is None:
        return None
    end = re.compile(rf"{last}[^\w\s]*").search(
        shown, max(start.start(), start.end() - len(marked))
    )
    return start.start(), end.end() if end is not None else start.end()

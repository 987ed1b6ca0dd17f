"""Orders recognised lines as a person reads: columns one after the other, rows of a table whole."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from deepseek_r1.documents.document import WordBox
from deepseek_r1.ocr.recognition import RecognisedLine

_CELL_GAP: Final = 1.5  # heights of a line between two cells of a row
_GUTTER_GAP: Final = 0.8  # heights of a line between two columns
_PROSE: Final = 10.0  # heights of a line in the length of one in a column
_LEAST_LINES: Final = 3  # of a column
_MOST_SPANNING: Final = 0.25  # of the lines: headings and pictures' captions over both columns


@dataclass(frozen=True, slots=True)
class _Span:
    """A line in a page that is not skewed, and its sides in pixels."""

    line: RecognisedLine
    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def ordered_text(lines: Iterable[RecognisedLine]) -> tuple[str, list[WordBox]]:
    """The text of a page: a line for each row, cells of a row divided by " | "; and its words."""
    lines = list(lines)
    angle = median(each.box.angle for each in lines) if lines else 0.0
    rows = _ordered([_span(each, angle) for each in lines])
    boxes = [word for row in rows for span in row for word in span.line.boxes]
    return "\n".join(map(_row, rows)), boxes


def _span(line: RecognisedLine, angle: float) -> _Span:
    box, cos, sin = line.box, math.cos(angle), math.sin(angle)
    x, y = box.x * cos + box.y * sin, box.y * cos - box.x * sin
    across, down = box.width / 2, box.height / 2
    return _Span(line, x - across, x + across, y - down, y + down)


def _ordered(spans: list[_Span]) -> list[list[_Span]]:
    """The rows, each from left to right."""
    gutter = _gutter(spans)
    if gutter is None:
        return _rows(spans)
    rows: list[list[_Span]] = []
    left: list[_Span] = []
    right: list[_Span] = []
    for span in sorted(spans, key=lambda each: each.middle):
        if span.right <= gutter:
            left.append(span)
        elif span.left >= gutter:
            right.append(span)
        else:
            rows += [*_ordered(left), *_ordered(right), [span]]
            left, right = [], []
    return rows + _ordered(left) + _ordered(right)


def _gutter(spans: list[_Span]) -> float | None:
    """A place between two columns of prose; None where there is one column, or a table."""
    if len(spans) < 2 * _LEAST_LINES:
        return None
    height = median(each.height for each in spans)
    best, least = None, len(spans) * _MOST_SPANNING
    for right in sorted({each.right for each in spans}):
        place = right + _GUTTER_GAP * height / 2
        before = [each for each in spans if each.right <= place]
        after = [each for each in spans if each.left >= place]
        crossing = len(spans) - len(before) - len(after)
        if crossing < least and _is_prose(before, height) and _is_prose(after, height):
            best, least = place, crossing
    return best


def _is_prose(spans: list[_Span], height: float) -> bool:
    long = [each for each in spans if each.right - each.left > _PROSE * height]
    return len(long) >= max(_LEAST_LINES, len(spans) / 2)


def _rows(spans: list[_Span]) -> list[list[_Span]]:
    rows: list[list[_Span]] = []
    for span in sorted(spans, key=lambda each: each.middle):
        last = rows[-1] if rows else []
        if last and span.middle < max(each.bottom for each in last) - span.height / 4:
            last.append(span)
        else:
            rows.append([span])
    return [sorted(row, key=lambda each: each.left) for row in rows]


def _row(spans: list[_Span]) -> str:
    text = spans[0].line.text
    for before, span in pairwise(spans):
        is_cell = span.left - before.right > _CELL_GAP * span.height
        text += f"{' | ' if is_cell else ' '}{span.line.text}"
    return text

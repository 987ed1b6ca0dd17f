"""Finds where a picture has lines of text, from a model's map of probabilities; and their words.

The map and the growth of its boxes are those of Differentiable Binarization (arXiv 1911.08947).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TEXT: Final = 0.3  # a pixel of a line
_LINE: Final = 0.5  # the mean of a line's pixels
_GROWTH: Final = 1.6  # the model is trained to mark the middle of a line
_LEAST_PX: Final = 3.0
_MOST_BOXES: Final = 1_500
_LONG: Final = 3.0  # sides of a box that shows how it is turned
_Map = NDArray[np.float32]
# A character of a script without spaces is a word of its own.
_WORD = re.compile(
    r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]|[^\s\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]+"
)


@dataclass(frozen=True, slots=True)
class TextBox:
    """A line of text: its centre, length and height in pixels, and how it is turned."""

    x: float
    y: float
    width: float
    height: float
    angle: float  # radians, clockwise

    def scaled(self, factor: float) -> TextBox:
        x, y = self.x * factor, self.y * factor
        return replace(self, x=x, y=y, width=self.width * factor, height=self.height * factor)

    def part(self, begin: float, end: float) -> TextBox:
        """The box between two shares of its length."""
        along = ((begin + end) / 2 - 0.5) * self.width
        x, y = self.x + along * math.cos(self.angle), self.y + along * math.sin(self.angle)
        return replace(self, x=x, y=y, width=(end - begin) * self.width)

    def corners(self) -> tuple[float, ...]:
        """Top left, bottom left, bottom right, top right: x and y of each."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        halves = ((-1, -1), (-1, 1), (1, 1), (1, -1))
        points = ((a * self.width / 2, b * self.height / 2) for a, b in halves)
        turned = ((self.x + u * cos - v * sin, self.y + u * sin + v * cos) for u, v in points)
        return tuple(value for point in turned for value in point)


def text_boxes(probability: _Map) -> list[TextBox]:
    """The largest boxes of a map of probabilities (rows, columns), at most `_MOST_BOXES`."""
    found = []
    for ys, xs in _components(probability > _TEXT):
        if len(ys) >= _LEAST_PX**2 and probability[ys, xs].mean() >= _LINE:
            found.append((ys.astype(np.float64), xs.astype(np.float64)))
    found.sort(key=lambda each: -len(each[0]))
    found = found[:_MOST_BOXES]
    angles = [_angle(ys, xs) for ys, xs in found]
    known = sorted(each for each in angles if each is not None)
    usual = known[len(known) // 2] if known else 0.0
    boxes = (
        _box(ys, xs, usual if angle is None else angle)
        for (ys, xs), angle in zip(found, angles, strict=True)
    )
    return [box for box in boxes if min(box.width, box.height) >= _LEAST_PX]


def _angle(ys: NDArray[np.float64], xs: NDArray[np.float64]) -> float | None:
    """The direction in which the pixels lie, in (-pi/2, pi/2]; None where they are not long."""
    (xx, xy), (_, yy) = np.cov(xs, ys)
    spread = math.hypot(xx - yy, 2 * xy)
    longer, shorter = (xx + yy + spread) / 2, (xx + yy - spread) / 2
    if longer < _LONG**2 * max(shorter, 1e-6):
        return None
    return math.atan2(2 * xy, xx - yy) / 2


def _box(ys: NDArray[np.float64], xs: NDArray[np.float64], angle: float) -> TextBox:
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = xs * cos + ys * sin, ys * cos - xs * sin
    width, height = np.ptp(along) + 1, np.ptp(across) + 1
    u, v = (along.max() + along.min()) / 2, (across.max() + across.min()) / 2
    grown = width * height * _GROWTH / (width + height)  # twice area * growth / perimeter
    centre = u * cos - v * sin + 0.5, u * sin + v * cos + 0.5
    return TextBox(*centre, float(width + grown), float(height + grown), angle)


def _components(bitmap: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows and columns of the pixels of each connected part: runs that touch are joined."""
    edges = np.diff(np.pad(bitmap, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    firsts = np.searchsorted(rows, np.arange(len(bitmap) + 1))
    begins, stops = starts.tolist(), ends.tolist()
    for row in range(1, len(bitmap)):
        above, last_above = int(firsts[row - 1]), int(firsts[row])
        run, last = last_above, int(firsts[row + 1])
        while above < last_above and run < last:
            if begins[above] < stops[run] and begins[run] < stops[above]:
                parents[root(run)] = root(above)
            if stops[above] < stops[run]:
                above += 1
            else:
                run += 1
    roots = np.array([root(run) for run in range(len(parents))], dtype=np.intp)
    order = np.argsort(roots, kind="stable")
    for runs in np.split(order, np.nonzero(np.diff(roots[order]))[0] + 1):
        if len(runs):
            lengths = ends[runs] - starts[runs]
            xs = np.concatenate([np.arange(starts[run], ends[run]) for run in runs])
            yield np.repeat(rows[runs], lengths), xs


def word_spans(
    text: str, scores: Sequence[float], places: Sequence[float]
) -> Iterable[tuple[str, float, float, float]]:
    """The words of a line, how sure each is, its begin and its end in shares of the line's length.

    `scores` and `places` are those of the characters. A word is as sure as its least sure one; it
    ends where the next one begins, so that words that are marked have no gaps.
    """
    shown = [at for at, character in enumerate(text) if not character.isspace()]
    between = [(places[one] + places[other]) / 2 for one, other in pairwise(shown)]
    begins = dict(zip(shown, [0.0, *between], strict=True)) if shown else {}
    ends = dict(zip(shown, [*between, 1.0], strict=True)) if shown else {}
    for found in _WORD.finditer(text):
        first, last = found.start(), found.end() - 1
        yield found[0], min(scores[first : last + 1]), begins[first], ends[last]

"""The words that were recognised in a picture, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

DOUBTFUL: Final = 0.8  # a word that is less sure is often wrong; measured
# A character of a script without spaces is a word of its own.
_WORD = re.compile(
    r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]|[^\s\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]+"
)


class WordBox(NamedTuple):
    """Its text, how sure it is, and its sides in shares of the picture's: all from 0 to 1."""

    text: str
    sure: float
    left: float
    top: float
    right: float
    bottom: float


class RecognisedPage(NamedTuple):
    """The words of a picture in order, where they stand once it is turned left by some quarters."""

    quarters: int = 0
    boxes: tuple[WordBox, ...] = ()

    @classmethod
    def of(cls, quarters: int, boxes: Iterable[Sequence[Any]]) -> RecognisedPage:
        """The page as JSON has it."""
        return cls(quarters, tuple(WordBox(*word) for word in boxes))


UNRECOGNISED: Final = RecognisedPage()


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

"""A document's text, its passages, and those that are sent to the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from deepseek_r1.core.i18n import N_, join_list, tr

BETWEEN_BLOCKS: Final = "\n\n"
# Not translated: a text has the same tokens whatever language the window speaks.
PICTURE_LINE: Final = "[Read from a picture, {sure:.0%} sure.]\n"
PICTURE_MARK: Final = re.compile(r"\[Read from a picture, \d+% sure\.\]\n?")
_MOST_PLACES: Final = 200  # of a text on a page
LABEL_WIDTH: Final = 32  # characters of a heading, in a label
DOUBTFUL: Final = 0.8  # a word that is less sure is often wrong; measured


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands. What is not known, or makes no sense in the format, is left out."""

    page: int | None = None  # from 1; a slide of a presentation
    heading: str = ""  # the nearest above; a chapter's title
    sheet: str = ""
    row: int | None = None  # from 1
    line: int | None = None  # from 1
    sure: float | None = None  # from 0 to 1, of a text that was read from a picture

    def label(self) -> str:
        """The place in the current language, "page 3" or "Sheet1, row 7"; "" where none is known.

        A heading is left out where a page is known, which is found sooner.
        """
        texts = N_("page {n}"), N_("row {n}"), N_("line {n}")
        numbers = zip(texts, (self.page, self.row, self.line), strict=True)
        known = [tr(text, n=n) for text, n in numbers if n is not None]
        heading = self.heading if self.page is None else ""
        if len(heading) > LABEL_WIDTH:
            heading = heading[:LABEL_WIDTH].rstrip() + "…"
        place = join_list([each for each in (self.sheet, heading, *known) if each])
        if self.sure is None:
            return place
        read = tr("read from a picture, {share} sure", share=f"{self.sure:.0%}")
        return join_list([place, read] if place else [read])


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
        return cls(quarters, tuple(WordBox(*word) for word in boxes))


UNRECOGNISED: Final = RecognisedPage()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a row of a table, or a run of lines of a page; `recognised` of a picture."""

    text: str
    place: Place
    recognised: RecognisedPage = UNRECOGNISED


@dataclass(frozen=True, slots=True)
class Document:
    """The text of one file."""

    name: str  # of the file, without its folder
    sha256: str  # of the file's bytes, in hexadecimal digits
    kind: str  # the format: "pdf", "docx", "text", …
    pages: int | None  # None where the format has none
    blocks: Iterable[Block]  # can be gone through again

    def characters(self) -> int:
        """The length of its text, without the blank lines."""
        return sum(len(block.text) for block in self.blocks)

    def text(self) -> str:
        """All blocks, blank lines between them. Offsets of passages count in this text."""
        return BETWEEN_BLOCKS.join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that is found and sent as a whole."""

    sha256: str  # of its document
    name: str  # of its document
    number: int  # in the document, from 0
    place: Place  # of its beginning
    text: str
    start: int  # in `Document.text()`
    end: int
    headings: tuple[int, ...] = ()  # where some begin in `text`, each a line

    def place_of(self, sentence: str) -> Place:
        """Where a sentence of it stands: below the last heading before it, where one is inside."""
        at = self.text.find(sentence)
        before = [start for start in self.headings if 0 < start <= at]
        if not before or self.place.page is not None:
            return self.place
        heading = self.text[before[-1] :].partition("\n")[0].strip("# ")
        return replace(self.place, heading=heading, line=None)


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that was sent to the model under a number."""

    n: int  # from 1, as in "[1]"
    passage: Passage
    cited: bool = False


def places_of_letters(text: str, parts: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The first and the last part of each place of a text; only letters and digits count."""
    letters, places = "", list[int]()
    for place, part in enumerate(parts):
        added = _letters(part)
        letters += added
        places += [place] * len(added)
    if wanted := _letters(text):
        for found in islice(re.finditer(re.escape(wanted), letters), _MOST_PLACES):
            yield places[found.start()], places[found.end() - 1]


@lru_cache(4_096)  # a page has few different characters
def _letters(text: str) -> str:
    return "".join(c for c in normalize("NFKC", text).casefold() if c.isalnum())

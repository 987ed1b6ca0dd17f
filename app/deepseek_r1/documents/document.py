"""A document's text, passages of it, sources of an answer, and the citations [n] that name them."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final
from unicodedata import normalize

from deepseek_r1.core.i18n import N_, join_list, tr
from deepseek_r1.ocr.word_box import UNRECOGNISED, RecognisedPage

BETWEEN_BLOCKS: Final = "\n\n"
# Not translated: a text has the same tokens whatever language the window speaks.
PICTURE_LINE: Final = "[Read from a picture, {sure:.0%} sure.]\n"
PICTURE_MARK: Final = re.compile(r"\[Read from a picture, \d+% sure\.\]\n?")
# Code is skipped: `a[1]` is no citation. Neither is the text of a link, [1](address).
_FOUND = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[\[【](\d{1,5}(?:\s*[,，、;–-]\s*\d{1,5})*)[\]】](?!\()", re.DOTALL
)
_NUMBER = re.compile(r"\d+")
_ENDED = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n")  # a sentence, or a line
_OPENED = re.compile(
    r"[\[【][\d\s,，、;–-]*\Z"
)  # a citation of several, before the one that is meant
_CLAIM: Final = 400  # characters before a citation
# What has a digit, and words with a capital letter that does not begin a sentence.
_NUMBER_OR_NAME = re.compile(r"(?<![A-Za-z\d])[A-Za-z]*+\d[\w.:/-]*\w|(?<=[\w,;:(] )\w+", re.ASCII)
_THOUSANDS = re.compile(r"(?<=\d)[,\u202f'](?=\d{3})")
_BEST: Final = 12  # sources that are listed where the answer does not cite them
_MOST_PLACES: Final = 200  # of a text on a page
_SHARED: Final = 2  # names and numbers that an answer has of a passage which it does not cite


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

        The finest place says most: a heading is left out where a page or a line is known.
        """
        texts = N_("page {n}"), N_("row {n}"), N_("line {n}")
        numbers = zip(texts, (self.page, self.row, self.line), strict=True)
        known = [tr(text, n=n) for text, n in numbers if n is not None]
        place = join_list([self.sheet, *known]) or self.heading
        if self.sure is None:
            return place
        read = tr("read from a picture, {share} sure", share=f"{self.sure:.0%}")
        return join_list([place, read] if place else [read])


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


def citations(answer: str) -> Iterator[tuple[int, int, int]]:
    """Yield the start, the end and the number of each citation, in order.

    `[2]` is covered as a whole; of `[2, 3]` each number by itself. The model may make a number up:
    one that was not sent must not become a link.
    """
    for match in _FOUND.finditer(answer):
        numbers = list(_NUMBER.finditer(answer, *match.span(1))) if match[1] else []
        for number in numbers:
            start, end = (match if len(numbers) == 1 else number).span()
            yield start, end, int(number[0])


def claims(answer: str, number: int) -> str:
    """Return what an answer says with each citation of this number.

    The sentence before it, or its beginning; what follows one that begins a line, as the numbers of
    the prompt do: a small model copies a passage with its number.
    """
    found = []
    for (start, end, n), following in pairwise([*citations(answer), (len(answer), 0, 0)]):
        if n != number:
            continue
        before = _OPENED.sub("", answer[max(0, start - _CLAIM) : start]).rstrip(" ")
        after = answer[end : min(following[0], end + _CLAIM)]
        copied = before[-1:] in {"", "\n"} and any(map(str.isalnum, after.partition("\n")[0]))
        found.append(after.strip() if copied else _ENDED.split(before.rstrip())[-1])
    return " ".join(found)


def cited(answer: str, sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return the sources with `cited` as the answer has it; the cited ones first."""
    numbers = {number for _, _, number in citations(answer)}
    marked = [replace(each, cited=each.n in numbers) for each in sources]
    return tuple(sorted(marked, key=lambda each: not each.cited))


def listed(answer: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources that an answer cites, then those of the best that have names and numbers of it.

    `sources` come best first. Of those that are cited, and of the others, those with most of these
    come first.
    """
    wanted, best = _names_and_numbers(answer), {each.n for each in sources[:_BEST]}
    shared = {each.n: _shared(each.passage.text, wanted) for each in sources if each.n in best}
    least = max(1, min(_SHARED, len(wanted)))  # or the only one
    found = (s for s in cited(answer, sources) if s.cited or shared.get(s.n, 0) >= least)
    return tuple(sorted(found, key=lambda s: (not s.cited, -shared.get(s.n, 0))))


def _names_and_numbers(text: str) -> set[str]:
    found = _NUMBER_OR_NAME.findall(_THOUSANDS.sub("", _FOUND.sub(" ", text)))
    return {each.casefold() for each in found if not each.islower() and len(each) > 1}


def _shared(text: str, wanted: Collection[str]) -> int:
    """How many of these it has."""
    plain = _THOUSANDS.sub("", text).casefold()
    edges = r"(?<![a-z0-9]){}(?![a-z0-9])".format
    return sum(re.search(edges(re.escape(each)), plain) is not None for each in wanted)

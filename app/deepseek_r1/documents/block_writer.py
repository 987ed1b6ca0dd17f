"""Makes blocks of paragraphs and rows, and sends them in slices; in the reading process."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from deepseek_r1.documents.document import UNRECOGNISED, Block, Place, RecognisedPage
from deepseek_r1.documents.reading import BLOCK_CHARACTERS, MAX_CHARACTERS, too_long

_SLICE_CHARACTERS, _SLICE_S = 2**16, 0.2  # of six bytes each at most: half of a frame
_MORE_CHARACTERS = 20  # that a block's place takes, beside its names
_BLOCK_CHARACTERS = 2**14
_HEADING_CHARACTERS = 200
_MOST_BOXES, _BOX_CHARACTERS = 8_000, 40  # of a page, with their places
# Not translated: a text has the same tokens whatever language the window speaks.
PICTURE_PAGE: Final = "[Page {n} is a picture without text.]"


class BlockWriter:
    """Takes what a format's reader finds; every call may raise DocumentTooLarge.

    The text comes from `page`, `sheet`, `row` and `line`.
    """

    def __init__(self, name: str, send: Callable[[tuple[Block, ...]], object]) -> None:
        self.name, self.heading, self.sheet = name, "", ""
        self.page: int | None = None
        self.recognises = False  # the text of pictures
        self.is_web_page = False  # what is around its text is left out
        self.pictures = 0  # pages that are pictures, and pictures in documents
        self.has_text = False  # beside notes about them
        self.row: int | None = None
        self.line: int | None = None
        self._send, self._sent_at = send, time.monotonic()
        self._slice: list[Block] = []
        self._characters, self._left = 0, MAX_CHARACTERS  # of the slice, of the document
        self._text: list[str] = []  # of the paragraph
        self._cells: list[list[str]] | None = None  # of an open row, their paragraphs

    def put(
        self,
        text: str,
        sure: float | None = None,
        recognised: RecognisedPage = UNRECOGNISED,
        *,
        is_text: bool = True,
    ) -> None:
        """A block, as it is, of the document's text or a note; several where it is very long.

        `sure` and `recognised` are those of a picture.
        """
        sheet = self.sheet[:_HEADING_CHARACTERS]
        place = Place(self.page, self.heading, sheet, self.row, self.line, sure)
        for start in range(0, len(text), _BLOCK_CHARACTERS):
            piece = text[start : start + _BLOCK_CHARACTERS]
            if not piece.isspace():
                boxes = recognised.boxes[:_MOST_BOXES] if start == 0 else ()
                self.has_text |= is_text
                self._spend(len(piece) + BLOCK_CHARACTERS)
                self._characters += len(piece + place.heading + place.sheet) + _MORE_CHARACTERS
                self._characters += len(boxes) * _BOX_CHARACTERS
                self._slice.append(Block(piece, place, recognised._replace(boxes=boxes)))
                self.progress()

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise too_long(self.name)

    def progress(self, *, now: bool = False) -> None:
        """Send what there is: `now`, where it is enough, or where nothing was sent for a while."""
        late = time.monotonic() - self._sent_at > _SLICE_S
        if now or late or self._characters >= _SLICE_CHARACTERS:
            self._send(tuple(self._slice))
            self._slice, self._characters, self._sent_at = [], 0, time.monotonic()

    def add(self, text: str) -> None:
        self._spend(1)  # a million empty pieces are too many as well
        self._text.append(text)

    def set_heading(self, text: str) -> None:
        """Let what follows stand below this heading."""
        self.heading = " ".join(text.split())[:_HEADING_CHARACTERS]

    def end_paragraph(self, *, is_heading: bool = False) -> None:
        """In a row it belongs to the cell."""
        text = "\n".join(line.rstrip() for line in "".join(self._text).split("\n")).strip()
        self._text = []
        if text and is_heading:
            self.set_heading(text)
        if text and self._cells is not None:
            if not self._cells:
                self._cells.append([])
            self._cells[-1].append(text)
        elif text:
            self.put(text)

    def put_picture(self, text: str, sure: float | None) -> None:
        """The text of a picture, behind a paragraph or in a cell; else a note about it."""
        if self._cells:
            self._cells[-1].append(text)
        else:
            self.put(text, sure, is_text=self.recognises)

    def begin_row(self) -> None:
        """A row that is open ends."""
        self.end_row()
        self._cells = []

    def begin_cell(self) -> None:
        """Without a row it is a paragraph."""
        self.end_paragraph()
        if self._cells is not None:
            self._cells.append([])

    def end_row(self) -> None:
        self.end_paragraph()
        cells, self._cells = self._cells, None
        self.put_row(map(" ".join, cells or ()))

    def put_row(self, cells: Iterable[str]) -> None:
        self.put(" | ".join(" ".join(cell.split()) for cell in cells).rstrip(" |"))

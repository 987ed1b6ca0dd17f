"""Makes blocks of paragraphs, rows and plain text, and sends them; in the reading process."""

import codecs
import csv
import io
import re
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

_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile(b"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_PAIR = re.compile(b"[\xa1-\xfe][\xa1-\xfe]")  # a Chinese character of GB 2312
_HIGH = re.compile(b"[\x80-\xff]")
_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)=[\"' ]*([\w-]{2,20})", re.I
)
# Of the web; Python has others, which run a small language or undo a compression.
_WEB = ("utf-8", "iso-", "windows-", "gb", "big5", "euc-", "shift-jis", "koi8-", "macintosh")
_BETWEEN = re.compile(r"\n\n(?=[^\n])")  # further empty lines stay with the block before them
_HEADING = re.compile(r"#{1,6} +(\S.*)")
_FENCE = re.compile(r" {0,3}(```|~~~)")
# The end of a full line of Chinese or Japanese that goes on: it would divide words.
_BROKEN_CHINESE = re.compile(
    r"(?<=[\u3000-\u9fff\uff00-\uffef]{15})(?<![。！？：])\n(?=[\u3040-\u9fff])"
)
# A log or a list has no empty lines: up to 3,000 characters of whole lines, or one longer line.
_LONG = re.compile(r"(?s)(.{1,3000}(?=\n|\Z)|[^\n]+)\n?")


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


def with_joined_chinese(text: str) -> str:
    """The text of a page, in which full lines of Chinese go on without a line's end."""
    return _BROKEN_CHINESE.sub("", text)


def decoded(data: bytes, declared: str = "") -> str | None:
    """`data` as text with plain newlines; None where it is none.

    UTF-8, what a byte order mark announces or the file has `declared`, GB 18030, and Windows-1252
    for Western text.
    """
    encodings = [name for mark, name in _BOMS if data.startswith(mark)][:1]
    if not encodings:
        if len(_CONTROLS.findall(data)) * 1000 > len(data) or b"\0" in data:
            return None
        # Chinese has its high bytes in pairs; in Western text an accent stands among plain letters.
        in_pairs = 4 * len(_HIGH_PAIR.findall(data)) > len(_HIGH.findall(data))
        guessed = "gb18030" if in_pairs else "cp1252"
        encodings = ["utf-8", *filter(None, [declared]), guessed]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return None


def decoded_page(data: bytes) -> str | None:
    """HTML, whose head may declare the encoding."""
    found = _CHARSET.search(data[:4096])
    declared = found[1].decode().lower().replace("_", "-") if found else ""
    return decoded(data, declared if declared.startswith(_WEB) else "")


def write_text(text: str, writer: BlockWriter, *, is_markdown: bool = False) -> None:
    """Blocks between empty lines, with the number of their first line.

    Joined again they are `text`, but for an empty line within what has none for long.
    """
    writer.line, fence = 1, ""
    for paragraph in _BETWEEN.split(text):
        for piece in _LONG.findall(paragraph):
            for line in piece.split("\n") if is_markdown else ():
                if fenced := _FENCE.match(line):
                    fence = "" if fence == fenced[1] else fence or fenced[1]
                elif not fence and (heading := _HEADING.match(line)):
                    writer.set_heading(heading[1].rstrip(" ").rstrip("#"))
            writer.put(piece)
            writer.line += piece.count("\n") + 1
        writer.line += 1 + (not paragraph)  # the file may begin with two line ends


def write_table(text: str, writer: BlockWriter) -> None:
    """One block for each row of CSV, whose first line tells the delimiter. Raises csv.Error."""
    delimiter = max(",;\t|", key=text.partition("\n")[0].count)
    for writer.row, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1):
        writer.put_row(row)

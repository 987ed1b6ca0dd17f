"""Draws pages of a PDF in the process that reads documents, with the place of a text in them."""

import base64
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooLarge, ChildTooSlow
from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import (
    DOUBTFUL,
    UNRECOGNISED,
    RecognisedPage,
    WordBox,
    places_of_letters,
)
from deepseek_r1.documents.errors import DocumentDamaged, DocumentTooLarge, ReaderFull
from deepseek_r1.documents.reader_protocol import READER_MIB, DrawPage, PageDrawn, PageRows
from deepseek_r1.documents.reading import readers
from deepseek_r1.documents.reading_memory import ReadingMemory

_NEEDED_MIB: Final = 32  # beside the process itself: a page of text takes 20
_MOST_MIB: Final = 512  # a picture of 50 million pixels
_LONGEST_S: Final = 10.0
_KEPT_BYTES: Final = 24 << 20  # of pages: some five of a screen's width
_ROWS_BYTES: Final = 1 << 26  # of a page, uncompressed: more than its largest


Rectangle = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page's pixels, three bytes each, red first; where its text was found, in pixels.

    `doubtful` are the words of a picture that were recognised, and may be others.
    """

    width: int
    height: int
    pixels: bytes
    marks: tuple[Rectangle, ...]
    doubtful: tuple[Rectangle, ...] = ()


class PageDrawer:
    """Draws the pages of one document; process and memory are kept for the next, as some pages.

    Any thread; one page after the other.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        memory: ReadingMemory,
        recognised: Callable[[int], RecognisedPage] = lambda _page: UNRECOGNISED,
    ) -> None:
        """`recognised` is what was read on a page; any thread, and errors of the index."""
        self.path, self._name, self._memory = path, name, memory
        self._recognised = recognised
        self._drawing = threading.Lock()
        self._child: ChildCall | None = None
        self._held = ExitStack()  # the process, and the memory that the model leaves it
        self._most_mib = 0
        self._kept: dict[tuple[int, int, str], DrawnPage] = {}  # the latest last

    def draw(self, page: int, width_px: int, marked: str = "") -> DrawnPage:
        """Draw a page, from 1, so wide. Raises a DocumentRefused, where it takes too long too.

        The last ones are kept, up to `_KEPT_BYTES`.
        """
        key = page, width_px, marked
        try:
            with self._drawing:
                if (kept := self._kept.pop(key, None)) is not None:
                    self._kept[key] = kept
                    return kept
                child, recognised = self._running(), self._recognised(page)
                request = DrawPage(
                    path=str(self.path),
                    name=self._name,
                    page=page,
                    width_px=width_px,
                    marked=marked,
                    quarters=recognised.quarters,
                    memory_mib=self._most_mib,
                )
                drawn = with_recognised(_drawn(child, request), recognised.boxes, marked)
                self._kept[key] = drawn
                while sum(len(each.pixels) for each in self._kept.values()) > _KEPT_BYTES:
                    del self._kept[next(iter(self._kept))]
                return drawn
        except (ChildTooLarge, ReaderFull):
            raise self._memory.too_much(self._name, self._most_mib) from None
        except ChildTooSlow:
            detail = tr("Drawing the page takes too long.")
            raise DocumentTooLarge(name=self._name, detail=detail) from None
        except (ChildDied, ProtocolBroken, zlib.error, ValueError, OSError) as error:
            raise DocumentDamaged(name=self._name, detail=str(error)) from error

    def _running(self) -> ChildCall:
        """The process. Raises DocumentNeedsMemory, OSError."""
        if self._child is None or not self._child.running:
            self.close()
            with ExitStack() as held:
                left = self._memory.for_reader(self._name, READER_MIB + _NEEDED_MIB, _MOST_MIB)
                self._most_mib = held.enter_context(left)
                self._child = held.enter_context(readers.take())
                self._held = held.pop_all()
        return self._child

    def close(self) -> None:
        """End the process; a page that is being drawn ends with an error."""
        self._held.close()


def _drawn(child: ChildCall, request: DrawPage) -> DrawnPage:
    unpacking, pixels = zlib.decompressobj(), bytearray()

    def take(rows: PageRows) -> None:
        packed = base64.b64decode(rows.pixels, validate=True)
        pixels.extend(unpacking.decompress(packed, _ROWS_BYTES - len(pixels)))

    drawn: PageDrawn = child.ask(request, deadline_s=_LONGEST_S, on_progress=take)
    if len(pixels) != 3 * drawn.width * drawn.height:
        raise ValueError(f"{len(pixels)} bytes for {drawn.width} x {drawn.height} pixels")
    return DrawnPage(drawn.width, drawn.height, bytes(pixels), drawn.marks)


def with_recognised(page: DrawnPage, boxes: Sequence[WordBox], marked: str) -> DrawnPage:
    """The page of a picture with its doubtful words, and those of the text that is marked."""
    if not boxes:
        return page

    def places(some: Iterable[WordBox]) -> tuple[Rectangle, ...]:
        return tuple(_place(word, page.width, page.height) for word in some)

    found = places_of_letters(marked, (word.text for word in boxes))
    shown = [word for first, last in found for word in boxes[first : last + 1]]
    # A bullet is seldom sure, and nobody reads it.
    doubtful = [w for w in boxes if w.sure < DOUBTFUL and any(map(str.isalnum, w.text))]
    return replace(page, marks=places(shown), doubtful=places(doubtful))


def _place(word: WordBox, width: int, height: int) -> Rectangle:
    left, top = round(word.left * width), round(word.top * height)
    return left, top, round(word.right * width) - left, round(word.bottom * height) - top

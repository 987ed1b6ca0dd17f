"""The messages between the process that reads documents and its owner."""

import base64
import zlib
from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.child_call import ChildFailure, ChildProgress
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.documents.document import Block
from deepseek_r1.documents.reading_memory import MEMORY_MIB

READER_MIB: Final = 32  # of the process at its start, without what it shares; measured
OCR_MIB: Final = 300  # more, for a page of any size whose text is recognised; measured
MAX_PX: Final = 4_096  # of a drawn page's side
_SENT_ROWS: Final = 100  # 1.2 MB at most, which compression makes less of
PASSWORD_CHARACTERS: Final = 127  # as many bytes as a PDF's may have
_Pixels = Annotated[int, Field(ge=0, le=MAX_PX)]


class ReadDocument(frames.PipeMessage):
    """Reads a document from its beginning. `name` tells formats apart that look alike."""

    kind: Literal["read"] = "read"
    path: FilePath
    name: str
    memory_mib: int = MEMORY_MIB
    recognises: bool = False  # the text of pictures, which takes `OCR_MIB` more
    is_web_page: bool = False  # whose navigation is left out
    password: str = Field("", max_length=PASSWORD_CHARACTERS, repr=False)  # of a PDF


class DocumentSlice(ChildProgress):
    """The next blocks; without any a sign of life."""

    kind: Literal["slice"] = "slice"
    blocks: tuple[Block, ...]


class DocumentRead(frames.PipeMessage):
    """A document has been read to its end."""

    kind: Literal["read"] = "read"
    format: str = Field(max_length=16)
    pages: int | None
    pictures: int = 0  # whose text could be recognised, and was not; pages that are pictures, too
    has_text: bool = False  # beside notes about them


class DrawPage(frames.PipeMessage):
    """Draws a page of a PDF, from 1, or a picture, and looks for a text on it.

    It is turned left by some quarters.
    """

    kind: Literal["draw"] = "draw"
    path: FilePath
    name: str
    page: int
    width_px: int = Field(ge=16, le=MAX_PX)
    marked: str = ""
    quarters: int = Field(default=0, ge=0, le=3)
    memory_mib: int = MEMORY_MIB


class PageRows(ChildProgress):
    """The next rows of a drawn page: its pixels, compressed by zlib, in base64."""

    kind: Literal["rows"] = "rows"
    pixels: str


def send_rows(
    pixels: bytes | memoryview,
    stride: int,
    size: tuple[int, int],
    send: Callable[[PageRows], object],
) -> None:
    """Send the rows of a picture of this size, three bytes a pixel; each takes `stride` bytes."""
    packing, (width, height) = zlib.compressobj(1), size
    for top in range(0, height, _SENT_ROWS):
        rows = range(top, min(top + _SENT_ROWS, height))
        shown = b"".join(pixels[row * stride : row * stride + 3 * width] for row in rows)
        packed = packing.compress(shown) + packing.flush(zlib.Z_SYNC_FLUSH)
        send(PageRows(pixels=base64.b64encode(packed).decode()))


class PageDrawn(frames.PipeMessage):
    """A page has been drawn: three bytes a pixel, red first, and where the text was found.

    `marks` are rectangles in pixels: left, top, width, height.
    """

    kind: Literal["drawn"] = "drawn"
    width: _Pixels
    height: _Pixels
    marks: tuple[tuple[_Pixels, _Pixels, _Pixels, _Pixels], ...] = Field(max_length=1_000)


Request = ReadDocument | DrawPage
Reply = DocumentSlice | DocumentRead | PageRows | PageDrawn | ChildFailure
requests: Final[TypeAdapter[Request]] = frames.one_of(Request)
replies: Final[TypeAdapter[Reply]] = frames.one_of(Reply)

"""The text of pictures, alone and in documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from PIL import Image

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import PICTURE_PAGE, BlockWriter
from deepseek_r1.documents.errors import DocumentTooLarge, PictureHasNoText
from deepseek_r1.documents.picture_file import MOST_PIXELS, TooManyPixels, opened, upright
from deepseek_r1.documents.plain_text import with_joined_chinese
from deepseek_r1.ocr import is_picture

_MOST_PAGES: Final = 500
_LEAST_SIDE, _LEAST_PIXELS = 64, 40_000  # of a picture in a document: smaller ones are signs
_HEAD_BYTES: Final = 16
# Not translated: a text has the same tokens whatever language the window speaks.
_MARK = "[Read from a picture, {sure:.0%} sure.]\n{text}"
UNREAD: Final = "[A picture that was not read.]"


def page_text(picture: Image.Image, alive: Callable[[], object]) -> str:
    """The text, behind a line that names its source; "" where there is none.

    `alive` is called after each line. Raises MemoryError, and errors of onnxruntime.
    """
    from deepseek_r1.ocr.reading_order import ordered_text  # noqa: PLC0415 - 60 MiB
    from deepseek_r1.ocr.recognition import recognised  # noqa: PLC0415

    seen = picture if picture.mode == "RGB" else picture.convert("RGB")
    lines = recognised(seen, alive)
    characters = sum(len(line.text) for line in lines)
    sure = sum(line.confidence * len(line.text) for line in lines) / max(1, characters)
    text = with_joined_chinese(ordered_text(lines))
    return _MARK.format(sure=sure, text=text) if lines else ""


def embedded_text(file: IO[bytes], writer: BlockWriter) -> str:
    """The text of a picture in a document, or `UNREAD` where the writer recognises none yet.

    "" where it has no text, is as small as a sign, or of a kind that is not read. Raises what
    Pillow and onnxruntime do.
    """
    is_known = is_picture(file.read(_HEAD_BYTES))
    file.seek(0)
    if not is_known:
        return ""
    with opened(file) as picture:
        if min(picture.size) < _LEAST_SIDE or picture.width * picture.height < _LEAST_PIXELS:
            return ""
        writer.pictures += 1
        return page_text(upright(picture), writer.progress) if writer.recognises else UNREAD


def write_picture(path: Path, writer: BlockWriter) -> str:
    """A block for each page that has text; returns the format.

    Raises DocumentTooLarge, before anything large is unpacked, and Pillow's errors.
    """
    try:
        with opened(path) as picture:
            return _write(picture, writer)
    except TooManyPixels as bomb:
        detail = tr("It has more than {n} million pixels.", n=MOST_PIXELS // 10**6)
        raise DocumentTooLarge(name=writer.name, detail=detail) from bomb


def _write(picture: Image.Image, writer: BlockWriter) -> str:
    kind = str(picture.format).lower()
    if kind != "tiff":
        writer.put(page_text(upright(picture), writer.progress))
        return kind
    if _has_page(picture, _MOST_PAGES + 1):
        detail = tr("It has more than {limit:,} pages.", limit=_MOST_PAGES)
        raise DocumentTooLarge(name=writer.name, detail=detail)
    writer.page = 0
    while _has_page(picture, writer.page + 1):
        writer.page += 1
        text = page_text(upright(picture), writer.progress)
        writer.put(text or PICTURE_PAGE.format(n=writer.page), is_text=bool(text))
    if not writer.has_text:
        raise PictureHasNoText(name=writer.name)
    return kind


def _has_page(picture: Image.Image, number: int) -> bool:
    """Whether it has a page of this number, which is the one to unpack next."""
    try:
        picture.seek(number - 1)
    except EOFError:
        return False
    return True

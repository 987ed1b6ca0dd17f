"""The text of pictures: PNG, JPEG, WebP, TIFF, BMP and a GIF's first frame, opened by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import BlockWriter
from deepseek_r1.documents.document import PICTURE_LINE
from deepseek_r1.documents.errors import DocumentTooLarge
from deepseek_r1.documents.plain_text import with_joined_chinese
from deepseek_r1.documents.reader_protocol import (
    MAX_PX,
    DrawPage,
    PageDrawn,
    PageRows,
    send_rows,
)
from deepseek_r1.ocr.word_box import UNRECOGNISED, RecognisedPage

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_MOST_PIXELS: Final = 50_000_000  # 150 MB, and A4 at 600 dpi has 35
_MOST_PAGES: Final = 500
_MOST_SIDE: Final = 3_000  # more makes no letter clearer to the models


class PageText(NamedTuple):
    """The text behind a line that names its source, how sure it is, its words; "" for none."""

    text: str
    sure: float | None = None
    page: RecognisedPage = UNRECOGNISED


def page_text(picture: Image.Image, alive: Callable[[], object]) -> PageText:
    """The text of a picture, as `BlockWriter.put` takes it.

    `alive` is called after each line. Raises MemoryError, and errors of onnxruntime.
    """
    # Not for drawing, which has less memory.
    from deepseek_r1.ocr.reading_order import ordered_text  # noqa: PLC0415
    from deepseek_r1.ocr.recognition import recognised  # noqa: PLC0415

    lines, quarters = recognised(picture.convert("RGB"), alive)
    if not lines:
        return PageText("")
    characters = sum(len(line.text) for line in lines)
    sure = round(sum(line.confidence * len(line.text) for line in lines) / characters, 4)
    text, boxes = ordered_text(lines)
    text = PICTURE_LINE.format(sure=sure) + with_joined_chinese(text)
    return PageText(text, sure, RecognisedPage(quarters, tuple(boxes)))


def write_picture(path: Path, writer: BlockWriter) -> str:
    """A block for each page that has text; returns the format.

    Raises DocumentTooLarge, before anything large is unpacked, and Pillow's errors.
    """
    with _opened(path, writer.name) as picture:
        return _write(picture, writer)


def draw_picture(request: DrawPage, send: Callable[[PageRows], object]) -> PageDrawn:
    """Draw a page as wide as is asked, and send its rows; errors as of `write_picture`."""
    with _opened(Path(request.path), request.name) as picture:
        picture.seek(request.page - 1)
        page = _upright(picture).rotate(90 * request.quarters, expand=True)
    scale = min(request.width_px / page.width, MAX_PX / max(page.size))
    page = page.resize((max(1, round(page.width * scale)), max(1, round(page.height * scale))))
    send_rows(page.tobytes(), 3 * page.width, page.size, send)
    return PageDrawn(width=page.width, height=page.height, marks=())


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as bomb:
        detail = tr("It has more than {n} million pixels.", n=_MOST_PIXELS // 10**6)
        raise DocumentTooLarge(name=name, detail=detail) from bomb


def _write(picture: Image.Image, writer: BlockWriter) -> str:
    kind = str(picture.format).lower()
    has_pages = kind == "tiff"
    for number in range(1, _MOST_PAGES + 2):
        if number > _MOST_PAGES:
            detail = tr("It has more than {limit:,} pages.", limit=_MOST_PAGES)
            raise DocumentTooLarge(name=writer.name, detail=detail)
        try:
            picture.seek(number - 1)
        except EOFError:
            break
        writer.page = number if has_pages else None
        writer.put(*page_text(_upright(picture), writer.progress))
        if not has_pages:
            break
    return kind


def _upright(picture: Image.Image) -> Image.Image:
    """The page as it is seen, in colours on white, and not larger than helps."""
    picture.draft("RGB", (_MOST_SIDE, _MOST_SIDE))  # a large JPEG is unpacked smaller
    picture.load()
    share = min(1.0, _MOST_SIDE / max(picture.size))
    width, height = (max(1, round(side * share)) for side in picture.size)
    small = picture if share == 1.0 else picture.resize((width, height))
    seen = ImageOps.exif_transpose(small)
    if seen.mode.startswith(("I", "F")):  # of 16 bits and more: Pillow would cut them off
        values = np.asarray(seen, dtype=np.float32)
        lowest, highest = values.min(), values.max()
        grey = (values - lowest) * (255 / max(highest - lowest, 1e-6))
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if seen.mode in {"RGBA", "LA", "PA"} or "transparency" in seen.info:
        layer = seen.convert("RGBA")
        seen = Image.new("RGBA", layer.size, "white")
        seen.alpha_composite(layer)
    return seen.convert("RGB")

"""The text of pictures: PNG, JPEG, WebP, TIFF, BMP and a GIF's first frame, opened by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import BlockWriter
from deepseek_r1.documents.errors import DocumentTooLarge
from deepseek_r1.documents.plain_text import with_joined_chinese
from deepseek_r1.ocr.reading_order import ordered_text
from deepseek_r1.ocr.recognition import recognised

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_MOST_PIXELS: Final = 50_000_000  # 150 MB, and A4 at 600 dpi has 35
_MOST_PAGES: Final = 500
_MOST_SIDE: Final = 3_000  # more makes no letter clearer to the models
# Not translated: a text has the same tokens whatever language the window speaks.
_MARK = "[Read from a picture, {sure:.0%} sure.]\n{text}"


def page_text(picture: Image.Image, alive: Callable[[], object]) -> str:
    """The text, behind a line that names its source; "" where there is none.

    `alive` is called after each line. Raises MemoryError, and errors of onnxruntime.
    """
    lines = recognised(picture.convert("RGB"), alive)
    characters = sum(len(line.text) for line in lines)
    sure = sum(line.confidence * len(line.text) for line in lines) / max(1, characters)
    text = with_joined_chinese(ordered_text(lines))
    return _MARK.format(sure=sure, text=text) if lines else ""


def write_picture(path: Path, writer: BlockWriter) -> str:
    """A block for each page that has text; returns the format.

    Raises DocumentTooLarge, before anything large is unpacked, and Pillow's errors.
    """
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            return _write(picture, writer)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as bomb:
        detail = tr("It has more than {n} million pixels.", n=_MOST_PIXELS // 10**6)
        raise DocumentTooLarge(name=writer.name, detail=detail) from bomb


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
        writer.put(page_text(_upright(picture), writer.progress))
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

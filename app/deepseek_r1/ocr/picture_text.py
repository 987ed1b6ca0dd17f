"""The text of pictures, alone and in documents."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from PIL import Image, ImageOps

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import PICTURE_PAGE, BlockWriter, with_joined_chinese
from deepseek_r1.documents.document import PICTURE_LINE, RecognisedPage
from deepseek_r1.documents.errors import DocumentTooLarge, PictureHasNoText
from deepseek_r1.documents.pictures import UNREAD, PageText, is_picture
from deepseek_r1.documents.reader_protocol import (
    MAX_PX,
    DrawPage,
    PageDrawn,
    PageRows,
    send_rows,
)

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_MOST_PIXELS: Final = 50_000_000  # 150 MB, and A4 at 600 dpi has 35
_MOST_SIDE: Final = 3_000  # more makes no letter clearer to the models
_TOO_MANY_PIXELS: Final = (Image.DecompressionBombWarning, Image.DecompressionBombError)
_MOST_PAGES: Final = 500
_LEAST_SIDE, _LEAST_PIXELS = 64, 40_000  # of a picture in a document: smaller ones are signs


def load_models() -> None:
    """Load what recognises, which is used until the process ends. Raises MemoryError."""
    from deepseek_r1.ocr.recognition import load_models as load  # noqa: PLC0415 - as below

    load()


def page_text(picture: Image.Image, alive: Callable[[], object]) -> PageText:
    """The text of a picture, as `BlockWriter.put` takes it.

    `alive` is called after each line. Raises MemoryError, and errors of onnxruntime.
    """
    # 60 MiB, which drawing has not.
    from deepseek_r1.ocr.recognition import ordered_text, recognised  # noqa: PLC0415

    seen = picture if picture.mode == "RGB" else picture.convert("RGB")
    lines, quarters = recognised(seen, alive)
    if not lines:
        return PageText("")
    characters = sum(len(line.text) for line in lines)
    sure = round(sum(line.confidence * len(line.text) for line in lines) / characters, 4)
    text, boxes = ordered_text(lines)
    text = PICTURE_LINE.format(sure=sure) + with_joined_chinese(text)
    return PageText(text, sure, RecognisedPage(quarters, tuple(boxes)))


def embedded_text(file: IO[bytes], writer: BlockWriter) -> PageText:
    """The text of a picture in a document, or `UNREAD` where the writer recognises none yet.

    Empty where it has no text, is as small as a sign, or of a kind that is not read. Raises what
    Pillow and onnxruntime do.
    """
    is_known = is_picture(file.read(16))
    file.seek(0)
    if not is_known:
        return PageText("")
    with _opened(file) as picture:
        if min(picture.size) < _LEAST_SIDE or picture.width * picture.height < _LEAST_PIXELS:
            return PageText("")
        writer.pictures += 1
        if not writer.recognises:
            return PageText(UNREAD)
        return page_text(_upright(picture), writer.progress)


def write_picture(path: Path, writer: BlockWriter) -> str:
    """A block for each page; returns the format.

    Raises DocumentTooLarge, before anything large is unpacked, and Pillow's errors.
    """
    with _bounded(path, writer.name) as picture:
        return _write(picture, writer)


def draw_picture(request: DrawPage, send: Callable[[PageRows], object]) -> PageDrawn:
    """Draw a page as wide as is asked, and send its rows; errors as of `write_picture`."""
    with _bounded(Path(request.path), request.name) as picture:
        picture.seek(request.page - 1)
        page = _upright(picture).rotate(90 * request.quarters, expand=True)
    scale = min(request.width_px / page.width, MAX_PX / max(page.size))
    page = page.resize((max(1, round(page.width * scale)), max(1, round(page.height * scale))))
    send_rows(page.tobytes(), 3 * page.width, page.size, send)
    return PageDrawn(width=page.width, height=page.height, marks=())


@contextmanager
def _bounded(path: Path, name: str) -> Iterator[Image.Image]:
    try:
        with _opened(path) as picture:
            yield picture
    except _TOO_MANY_PIXELS as bomb:
        detail = tr("It has more than {n} million pixels.", n=_MOST_PIXELS // 10**6)
        raise DocumentTooLarge(name=name, detail=detail) from bomb


def _write(picture: Image.Image, writer: BlockWriter) -> str:
    kind = str(picture.format).lower()
    pages = getattr(picture, "n_frames", 1) if kind == "tiff" else 0
    if pages > _MOST_PAGES:
        detail = tr("It has more than {limit:,} pages.", limit=_MOST_PAGES)
        raise DocumentTooLarge(name=writer.name, detail=detail)
    for writer.page in range(1, pages + 1) if pages else (None,):
        picture.seek((writer.page or 1) - 1)
        found = page_text(_upright(picture), writer.progress)
        note = PICTURE_PAGE.format(n=writer.page) if pages else ""
        writer.put(*(found if found.text else (note,)), is_text=bool(found.text))
    if not writer.has_text:
        raise PictureHasNoText(name=writer.name)
    return kind


def _opened(file: Path | IO[bytes]) -> Image.Image:
    """The picture, not unpacked yet. Raises Pillow's errors, `_TOO_MANY_PIXELS` of them."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    return Image.open(file, formats=_FORMATS)


def _upright(picture: Image.Image) -> Image.Image:
    """The page as it is seen, in colours on white, and not larger than helps.

    It may be `picture` itself, which becomes smaller: copies would take most of the memory.
    """
    picture.draft("RGB", (_MOST_SIDE, _MOST_SIDE))  # a large JPEG is unpacked smaller
    picture.thumbnail((_MOST_SIDE, _MOST_SIDE), reducing_gap=None)
    ImageOps.exif_transpose(picture, in_place=True)
    seen = picture
    if seen.mode.startswith(("I", "F")):  # of 16 bits and more: Pillow would cut them off
        import numpy as np  # noqa: PLC0415 - most pictures do without

        values = np.asarray(seen, dtype=np.float32)
        lowest, highest = values.min(), values.max()
        grey = (values - lowest) * (255 / max(highest - lowest, 1e-6))
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if seen.mode in {"RGBA", "LA", "PA"} or "transparency" in seen.info:
        layer = seen.convert("RGBA")
        seen = Image.new("RGBA", layer.size, "white")
        seen.alpha_composite(layer)
    return seen if seen.mode == "RGB" else seen.convert("RGB")

"""A page of a PDF as a picture, and the place of a text on it, by PDFium."""

from collections.abc import Callable
from ctypes import byref, c_int
from pathlib import Path
from typing import Final

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import places_of_letters
from deepseek_r1.documents.errors import DocumentDamaged
from deepseek_r1.documents.pdf_text import opened_pdf
from deepseek_r1.documents.reader_protocol import (
    MAX_PX,
    DrawPage,
    PageDrawn,
    PageRows,
    send_rows,
)

_MOST_CHARACTERS: Final = 50_000  # of a page
_MOST_MARKS: Final = 200
Rectangle = tuple[int, int, int, int]


def draw_page(request: DrawPage, send: Callable[[PageRows], object]) -> PageDrawn:
    """Draw a page, and send its rows. Raises DocumentDamaged, and what `opened_pdf` does."""
    document = opened_pdf(Path(request.path), request.name)
    if not 1 <= request.page <= len(document):
        detail = tr("it has no page {n:,}", n=request.page)
        raise DocumentDamaged(name=request.name, detail=detail)
    page = document[request.page - 1]
    page.set_rotation((page.get_rotation() - 90 * request.quarters) % 360)
    scale = min(request.width_px / page.get_width(), MAX_PX / max(page.get_size()))
    bitmap = page.render(scale=scale, rev_byteorder=True)
    width, height, stride = bitmap.width, bitmap.height, bitmap.stride
    send_rows(memoryview(bitmap.buffer).cast("B"), stride, (width, height), send)
    marks = tuple(_places(page, request.marked, width, height)[:_MOST_MARKS])
    return PageDrawn(width=width, height=height, marks=marks)


def _places(page: pdfium.PdfPage, text: str, width: int, height: int) -> list[Rectangle]:
    """The lines of each place of a text on a drawn page."""
    shown = page.get_textpage()
    count = min(shown.count_chars(), _MOST_CHARACTERS) if text else 0
    codes = (pdfium_c.FPDFText_GetUnicode(shown, place) for place in range(count))
    marks = list[Rectangle]()
    for first, last in places_of_letters(text, map(chr, codes)):
        lines = shown.count_rects(first, last - first + 1)
        marks += [_on_picture(page, shown.get_rect(at), width, height) for at in range(lines)]
    return marks


def _on_picture(
    page: pdfium.PdfPage, corners: tuple[float, ...], width: int, height: int
) -> Rectangle:
    left, bottom, right, top = corners
    x, y, points = c_int(), c_int(), list[tuple[int, int]]()
    for point in ((left, top), (right, bottom)):
        pdfium_c.FPDF_PageToDevice(page, 0, 0, width, height, 0, *point, byref(x), byref(y))
        points.append((min(max(x.value, 0), width), min(max(y.value, 0), height)))
    (x0, x1), (y0, y1) = (sorted(each) for each in zip(*points, strict=True))
    return x0, y0, x1 - x0, y1 - y0

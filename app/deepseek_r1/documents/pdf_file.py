"""PDFs, by PDFium: the text of their pages, and a page as a picture with a text's place on it."""

import re
from collections.abc import Callable
from ctypes import byref, c_int
from itertools import islice
from pathlib import Path
from typing import Final
from unicodedata import category, normalize

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import PICTURE_PAGE, BlockWriter, with_joined_chinese
from deepseek_r1.documents.document import places_of_letters
from deepseek_r1.documents.errors import (
    DocumentDamaged,
    DocumentEncrypted,
    DocumentIsPicture,
    DocumentTooLarge,
    PasswordWrong,
    PdfLocked,
    PictureHasNoText,
)
from deepseek_r1.documents.pictures import PageText, models_folder, picture_reader
from deepseek_r1.documents.reader_protocol import MAX_PX, DrawPage, PageDrawn, PageRows, send_rows

MAX_PAGES: Final = 10_000
_DRAWN_SIDE: Final = 2_000  # pixels of a page that is recognised: 170 dots an inch of A4
_GARBAGE: Final = 0.3  # of a text's characters
_MAX_BOOKMARKS = 5_000
_MOST_CHARACTERS: Final = 50_000  # of a page
_MOST_MARKS: Final = 200
Rectangle = tuple[int, int, int, int]
# PDFium's sign for a hyphen at a line's end, other signs that are no text; ligatures, and signs of
# radicals that fonts have in the place of characters.
_CLEANED = dict.fromkeys((0, 2, 13, 0xFFFE, 0xFFFF), "") | {
    code: normalize("NFKC", chr(code)) for code in (*range(0xFB00, 0xFB05), *range(0x2E80, 0x2FD6))
}
_CHINESE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
# Some programs write a space behind each character, which is no text.
_SPACED_CHINESE = re.compile(r"([\u3000-\u9fff\uff00-\uffef]) +(?=[\u3000-\u9fff\uff00-\uffef])")

# Not translated: a text has the same tokens whatever language the window speaks.
_UNREADABLE = "[Page {n} cannot be read.]"


def opened_pdf(path: Path, name: str, password: str = "") -> pdfium.PdfDocument:
    """A PDF. Raises PdfLocked, DocumentEncrypted where no password helps, and PdfiumError."""
    try:
        return pdfium.PdfDocument(path, password or None)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
            raise (PasswordWrong if password else PdfLocked)(name=name) from error
        if error.err_code == pdfium_c.FPDF_ERR_SECURITY:
            raise DocumentEncrypted(name=name) from error
        raise


def write_pdf(path: Path, writer: BlockWriter, password: str = "") -> None:
    """A block for each page; a page that cannot be read, or is a picture, says so."""
    document = opened_pdf(path, writer.name, password)
    pages = len(document)
    if pages > MAX_PAGES:
        detail = tr("It has {n:,} pages; at most {limit:,} can be read.", n=pages, limit=MAX_PAGES)
        raise DocumentTooLarge(name=writer.name, detail=detail)
    headings = _headings(document)
    for number in range(1, pages + 1):
        writer.page = number
        writer.heading = headings.get(number, writer.heading)
        try:
            page = document[number - 1]
            text = _text(page)
        except pdfium.PdfiumError:
            writer.put(_UNREADABLE.format(n=number), is_text=False)
            continue
        if text and not _is_garbage(text):
            writer.put(text)
        elif text or any(page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=2)):
            writer.pictures += 1
            recognised = _recognised(page, writer)
            note = PICTURE_PAGE.format(n=number)
            writer.put(*(recognised or (note,)), is_text=recognised is not None)
        page.close()
        writer.progress()
    is_done = writer.recognises or models_folder() is None
    if writer.pictures and not writer.has_text and is_done:
        raise (PictureHasNoText if writer.recognises else DocumentIsPicture)(name=writer.name)


def _recognised(page: pdfium.PdfPage, writer: BlockWriter) -> PageText | None:
    if not writer.recognises:
        return None
    drawn = page.render(scale=_DRAWN_SIDE / max(page.get_size()), rev_byteorder=True)
    found = picture_reader().page_text(drawn.to_pil(), writer.progress)
    return found if found.text else None


def _is_garbage(text: str) -> bool:
    """Whether a font without a table of characters has made it."""
    characters = "".join(text.split())
    strange = sum(category(each) in {"Co", "Cn", "Cc"} or each == "\ufffd" for each in characters)
    return strange > len(characters) * _GARBAGE


def _text(page: pdfium.PdfPage) -> str:
    """What is seen of the page's text, words that a line's end divides joined again."""
    text = page.get_textpage().get_text_bounded(errors="replace")
    text = "\n".join(line.rstrip() for line in text.translate(_CLEANED).split("\n"))
    if 2 * len(_SPACED_CHINESE.findall(text)) > len(_CHINESE.findall(text)):
        text = _SPACED_CHINESE.sub(r"\1", text)
    return with_joined_chinese(text).strip()


def _headings(document: pdfium.PdfDocument) -> dict[int, str]:
    found: dict[int, str] = {}
    for bookmark in islice(document.get_toc(), _MAX_BOOKMARKS):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination is not None else None
        if index is not None and (title := " ".join(bookmark.get_title().split())):
            found.setdefault(index + 1, title[:200])
    return found


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

"""The pages of a PDF, by PDFium."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unicodedata import category, normalize

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import PICTURE_PAGE, BlockWriter
from deepseek_r1.documents.errors import (
    DocumentEncrypted,
    DocumentIsPicture,
    DocumentTooLarge,
    PasswordWrong,
    PdfLocked,
    PictureHasNoText,
)
from deepseek_r1.documents.plain_text import with_joined_chinese
from deepseek_r1.ocr import models_folder

if TYPE_CHECKING:
    from deepseek_r1.documents.picture_text import PageText

MAX_PAGES: Final = 10_000
_DRAWN_SIDE: Final = 2_000  # pixels of a page that is recognised: 170 dots an inch of A4
_GARBAGE: Final = 0.3  # of a text's characters
_MAX_BOOKMARKS = 5_000
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
    from deepseek_r1.documents.picture_text import page_text  # noqa: PLC0415 - an extra

    drawn = page.render(scale=_DRAWN_SIDE / max(page.get_size()), rev_byteorder=True)
    found = page_text(drawn.to_pil(), writer.progress)
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
    """The first bookmark that leads to each page, by the page's number."""
    found: dict[int, str] = {}
    for bookmark in islice(document.get_toc(), _MAX_BOOKMARKS):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination is not None else None
        if index is not None and (title := " ".join(bookmark.get_title().split())):
            found.setdefault(index + 1, title[:200])
    return found

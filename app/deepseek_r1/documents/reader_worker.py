"""The process that reads a document: `python -m deepseek_r1.documents.reader_worker`."""

import codecs
import csv
import zipfile
from functools import cache, partial
from pathlib import Path, PurePath
from typing import Final

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.heap import keep_heap_small
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.process_lock import LANDLOCK, lock_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.documents import errors
from deepseek_r1.documents.block_writer import (
    BlockWriter,
    decoded,
    decoded_page,
    write_table,
    write_text,
)
from deepseek_r1.documents.markup_text import HTML, WEB_PAGE, MarkupText
from deepseek_r1.documents.office_text import OfficeFile
from deepseek_r1.documents.pdf_file import draw_page, write_pdf
from deepseek_r1.documents.pictures import is_picture, models_folder, picture_reader
from deepseek_r1.documents.reader_protocol import (
    READER_MIB,
    DocumentRead,
    DocumentSlice,
    DrawPage,
    PageDrawn,
    ReadDocument,
    Request,
    requests,
)
from deepseek_r1.documents.reading import MAX_CHARACTERS, too_long
from deepseek_r1.native.child_start import Child, limit_memory, serve, start_child
from deepseek_r1.native.native_library import native

MAX_TEXT_BYTES: Final = 4 * MAX_CHARACTERS
_HEAD_BYTES = 4096
_OLD_OFFICE, _ZIP = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"PK\x03\x04"
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
_TABLES, _PAGES, _MARKDOWN = {".csv", ".tsv"}, {".html", ".htm", ".xhtml"}, {".md", ".markdown"}


def main() -> None:
    """Serve the owner until it closes the pipe."""
    # What recognises text takes blocks of all sizes: where those of some MiB are in the heap, it
    # grows with each page; where smaller ones are mapped, and cleared, a line takes twice as long.
    keep_heap_small(4 << 20)
    child = start_child(ChildKind.DOCUMENTS)
    serve(child, requests, partial(_answer, child), refused)


@cache
def _confine(child: Child, path: Path) -> None:
    """Leave this process one file, for good."""
    if LANDLOCK not in child.not_locked:
        lock_files([path], [], native().restrict_threads)


def _answer(child: Child, request: Request) -> DocumentRead | PageDrawn:
    path = Path(request.path)
    path.stat()
    if isinstance(request, ReadDocument) and request.recognises:
        picture_reader().load_models()  # what they take is more addresses than memory
    limit_memory(request.memory_mib - READER_MIB << 20)
    _confine(child, path)
    if isinstance(request, DrawPage):
        return _drawn(path, request, child)
    writer = BlockWriter(request.name, lambda blocks: child.send(DocumentSlice(blocks=blocks)))
    writer.recognises, writer.is_web_page = request.recognises, request.is_web_page
    kind = write_document(path, writer, request.password)
    writer.progress(now=True)
    left = 0 if request.recognises or models_folder() is None else writer.pictures
    pages, has_text = writer.page, writer.has_text
    return DocumentRead(format=kind, pages=pages, pictures=left, has_text=has_text)


def _drawn(path: Path, request: DrawPage, child: Child) -> PageDrawn:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if is_picture(head):
        return picture_reader().draw_picture(request, child.send)
    return draw_page(request, child.send)


def refused(request: Request, error: Exception) -> R1Error:
    """The refusal that another error means; `reason` is a library's own, which is not shown."""
    if isinstance(error, MemoryError | ImportError):  # a library has no room
        return errors.ReaderFull(name=request.name)
    if isinstance(error, OSError) and error.filename:  # without one, a place in the file was wrong
        return errors.DocumentNotRead(name=request.name, detail=error.strerror or str(error))
    detail, reason = tr("it is incomplete, or not what its name says"), f"{error!r}"[:200]
    return errors.DocumentDamaged(name=request.name, detail=detail, reason=reason)


def write_document(path: Path, writer: BlockWriter, password: str = "") -> str:
    """Write a file of any kind, which its beginning tells; returns the kind.

    Raises errors of ours, and what `refused` makes one of.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start, suffix = head.lstrip(), PurePath(writer.name).suffix.lower()
    if is_picture(head):
        return _write_picture(path, writer)
    if start.startswith(b"%PDF-") or (suffix == ".pdf" and b"%PDF-" in head):
        write_pdf(path, writer, password)
        return "pdf"
    if head.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            kind = OfficeFile(archive, writer).write()
        if not kind:
            raise _unknown(writer, tr("It is an archive: unpack it, and attach the files in it."))
        if kind in {"xlsx", "ods"}:
            write_sheets(path, writer)
        return kind
    if head.startswith(_OLD_OFFICE):
        with path.open("rb") as file:
            if _ENCRYPTED_OFFICE in file.read():
                raise errors.DocumentEncrypted(name=writer.name)
        if suffix != ".xls":
            raise _unknown(writer, tr("It is in an old format of Word or PowerPoint."))
        write_sheets(path, writer)
        return "xls"
    if start.startswith(b"{\\rtf"):
        raise _unknown(writer, tr("It is RTF."))
    return _write_text(path, suffix, writer)


def _write_picture(path: Path, writer: BlockWriter) -> str:
    if models_folder() is None:
        raise errors.DocumentIsPicture(name=writer.name)
    if not writer.recognises:
        writer.pictures = 1
        return "picture"
    return picture_reader().write_picture(path, writer)


def _unknown(writer: BlockWriter, detail: str) -> errors.DocumentKindUnknown:
    return errors.DocumentKindUnknown(name=writer.name, detail=detail)


def _write_text(path: Path, suffix: str, writer: BlockWriter) -> str:
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise too_long(writer.name)
    data = path.read_bytes()
    start = data[:99].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    is_page = suffix in _PAGES or start.startswith((b"<!doctype html", b"<html"))
    text = decoded_page(data) if is_page else decoded(data)
    if text is None:
        raise _unknown(writer, tr("This kind of file is not supported."))
    if is_page:
        MarkupText(writer, WEB_PAGE if writer.is_web_page else HTML).write(text)
        return "html"
    if suffix in _TABLES:
        csv.field_size_limit(MAX_TEXT_BYTES)
        write_table(text, writer)
        return "csv"
    write_text(text, writer, is_markdown=suffix in _MARKDOWN)
    return "markdown" if suffix in _MARKDOWN else "text"


def write_sheets(path: Path, writer: BlockWriter) -> None:
    """The rows of XLSX, XLS and ODS; of a formula the value that was saved."""
    from python_calamine import CalamineWorkbook, PasswordError  # noqa: PLC0415 - other kinds

    try:
        workbook = CalamineWorkbook.from_path(path)
    except PasswordError as error:
        raise errors.DocumentEncrypted(name=writer.name) from error
    for at, writer.sheet in enumerate(workbook.sheet_names):
        sheet = workbook.get_sheet_by_index(at)
        for writer.row, row in enumerate(sheet.iter_rows(), 1):
            writer.put_row(map(_shown, row))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"  # as short as it is exact
    return str(value)


if __name__ == "__main__":
    main()

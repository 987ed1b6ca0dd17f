"""Reads the files that are attached to a message.

A file comes from outside: no more of it is read than is taken, and it is only decoded.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import N_
from r1desk.store import Attachment

MAX_FILES = 10
MAX_BYTES = 2**20  # a quarter of a million tokens: more than any context here
_NAME_CHARACTERS = 120
_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DOCUMENTS = (b"%PDF-", b"{\\rtf")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_CONTROLS = re.compile(b"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_PAIR = re.compile(b"[\xa1-\xfe][\xa1-\xfe]")  # a Chinese character of GB 2312
_HIGH = re.compile(b"[\x80-\xff]")


class TooManyAttachments(R1Error):
    """More files than one message takes."""

    what = N_("Not all files were attached.")
    why = N_("A message takes at most {limit} files.")
    todo = N_("Send the rest with the next message.")


class AttachmentTooLarge(R1Error):
    """A file with more text than any model here can read."""

    what = N_("{name} is too large to be attached.")
    why = N_("It has {size} bytes; at most {limit} can be attached.")
    todo = N_("Copy the part that matters into a smaller file, or into the message.")


class AttachmentIsPicture(R1Error):
    """A picture: a file, or one that was copied elsewhere."""

    what = N_("A picture cannot be attached.")
    why = N_("The models here read text only.")
    todo = N_("Write what is to be seen in it, or copy its text into the message.")


class AttachmentNotText(R1Error):
    """A program, an archive, a document, of which PDF and RTF may look like text."""

    what = N_("{name} is not a text file.")
    why = N_("Only plain text can be attached: notes, Markdown, code, CSV.")
    todo = N_("Save it as plain text (UTF-8), or copy its text into the message.")


class AttachmentEmpty(R1Error):
    """A file without any text."""

    what = N_("{name} is empty.")
    why = N_("There is no text in it.")
    todo = N_("Choose another file.")


class AttachmentNotRead(R1Error):
    """A file that the system does not hand out."""

    what = N_("{name} could not be read.")
    why = N_("The system reports: {detail}.")
    todo = N_("Check that the file is there and may be read.")


def read_attachments(paths: Sequence[Path]) -> list[Attachment | ErrorReport]:
    """The text of each file, or why it is refused. Not for the main thread: a drive may be slow."""
    results: list[Attachment | ErrorReport] = []
    for path in paths:
        try:
            results.append(read_attachment(path))
        except R1Error as error:
            results.append(error.report())
    return results


def read_attachment(path: Path) -> Attachment:
    """The text of a file. Raises one of the errors above."""
    name = path.name[:_NAME_CHARACTERS]
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise AttachmentNotText(name=name)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        detail = problem.strerror or os.strerror(problem.errno or 0)
        raise AttachmentNotRead(name=name, detail=detail) from problem
    if data.startswith(_PICTURES) or data[8:12] == b"WEBP":
        raise AttachmentIsPicture
    if len(data) > MAX_BYTES:
        raise AttachmentTooLarge(name=name, size=max(facts.st_size, len(data)), limit=MAX_BYTES)
    text = None if data.lstrip().startswith(_DOCUMENTS) else decoded(data)
    if text is None:
        raise AttachmentNotText(name=name)
    if not text.strip():
        raise AttachmentEmpty(name=name)
    return Attachment(name, text)


def is_web_page(attachment: Attachment) -> bool:
    """Whether a file is HTML, which is attached as its source."""
    beginning = attachment.content[:200].lstrip().lower()
    return beginning.startswith(("<!doctype html", "<html"))


def decoded(data: bytes) -> str | None:
    """`data` as text with plain newlines; None where it is none.

    UTF-8, what a byte order mark announces, GB 18030, and Windows-1252 for Western text.
    """
    encodings = [name for mark, name in _BOMS if data.startswith(mark)][:1]
    if not encodings:
        if len(_CONTROLS.findall(data)) * 1000 > len(data) or b"\0" in data:
            return None
        encodings = ["utf-8", "gb18030" if _looks_chinese(data) else "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return None


def _looks_chinese(data: bytes) -> bool:
    """Chinese has its high bytes in pairs; in Western text an accent stands among plain letters."""
    return 4 * len(_HIGH_PAIR.findall(data)) > len(_HIGH.findall(data))

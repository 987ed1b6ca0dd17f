"""The files attached to the message being written: read, counted, removed, sent.

A file comes from outside: its size is checked before it is opened, and it is only decoded.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.host.protocol import CountTokensReply, CountTokensRequest
from r1desk.chat.values.prompt import fenced
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.background_thread import in_background
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


class AttachmentNotText(R1Error):
    """A picture, a program, an archive, a document of an office program."""

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


class AttachmentReading(QObject):
    """Files being read in a thread of their own."""

    finished = Signal(object, object)  # tuple of Attachment, tuple of ErrorReport

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self.paths = tuple(paths)

    def start(self) -> None:
        """Read the files; `finished` follows."""
        in_background(self, lambda: self.finished.emit(*_read(self.paths)))


def _read(paths: Sequence[Path]) -> tuple[tuple[Attachment, ...], tuple[ErrorReport, ...]]:
    read: list[Attachment] = []
    refused: list[ErrorReport] = []
    for path in paths:
        try:
            read.append(read_attachment(path))
        except R1Error as error:
            refused.append(error.report())
    return tuple(read), tuple(refused)


class AttachmentController(QObject):
    """Owns the attachments of the conversation on the screen. Main thread.

    Signals:
        changed: the user changed the attachments: they are to be stored.
        shown: other attachments, or other numbers of tokens, are to be drawn.
        refused: an ErrorReport for a file that cannot be attached.
    """

    changed = Signal()
    shown = Signal()
    refused = Signal(ErrorReport)

    def __init__(self, engine: EngineBridge, parent: QObject) -> None:
        super().__init__(parent)
        self._engine = engine
        self._attachments: tuple[Attachment, ...] = ()
        self._readings: list[AttachmentReading] = []
        self._has_model = False
        self.context_length = 0  # tokens; 0 without a model

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The files, in the order in which they were attached."""
        return self._attachments

    @property
    def reading(self) -> bool:
        """True while files are being read."""
        return bool(self._readings)

    def add_files(self, paths: Sequence[Path]) -> None:
        """Read files and attach those that are text."""
        expected = sum(len(reading.paths) for reading in self._readings)
        left = max(0, MAX_FILES - len(self._attachments) - expected)
        if len(paths) > left:
            self.refused.emit(TooManyAttachments(limit=MAX_FILES).report())
        if not paths[:left]:
            return
        reading = AttachmentReading(paths[:left])
        reading.finished.connect(self._on_read)
        self._readings.append(reading)
        reading.start()
        self.shown.emit()

    def remove(self, index: int) -> None:
        """Take one file off the message."""
        kept = self._attachments
        self._attachments = kept[:index] + kept[index + 1 :]
        self.shown.emit()
        self.changed.emit()

    def take(self) -> tuple[Attachment, ...]:
        """The files, which go with the message that is being sent; none is attached then."""
        taken = self._attachments
        self.show_stored(())
        return taken

    def show_stored(self, attachments: tuple[Attachment, ...]) -> None:
        """Show the files of another message. What is being read for this one is dropped."""
        self._readings.clear()
        self._attachments = attachments
        self.shown.emit()
        self._count([a for a in attachments if not a.tokens])

    def restore_unsent(self, attachments: tuple[Attachment, ...]) -> None:
        """Attach files that could not be sent, before those that were attached since."""
        if not attachments:
            return
        self._attachments = attachments + self._attachments
        self.shown.emit()
        self.changed.emit()
        self._count([a for a in attachments if not a.tokens])

    def on_model_loaded(self, context_length: int) -> None:
        """Another model counts otherwise."""
        self.context_length, self._has_model = context_length, True
        self._count(self._attachments)
        self.shown.emit()

    @Slot(object, object)
    def _on_read(self, read: tuple[Attachment, ...], refused: tuple[ErrorReport, ...]) -> None:
        reading = self.sender()
        if reading not in self._readings:
            return  # of a conversation that was left
        self._readings.remove(reading)
        for report in refused:
            self.refused.emit(report)
        self._attachments += read
        self.shown.emit()
        if read:
            self.changed.emit()
            self._count(read)

    # ---- tokens

    def _count(self, attachments: Sequence[Attachment]) -> None:
        if not self._has_model:
            return  # estimated until there is one
        for attachment in attachments:
            message = Message(role=Role.USER, content=fenced(attachment))
            request = self._engine.submit(CountTokensRequest, messages=(message,))
            request.done.connect(lambda reply, of=attachment: self._on_counted(of, reply))
            request.failed.connect(self._on_not_counted)

    def _on_counted(self, attachment: Attachment, reply: CountTokensReply) -> None:
        counted = replace(attachment, tokens=reply.tokens)
        before = self._attachments
        self._attachments = tuple(counted if a is attachment else a for a in before)
        if self._attachments != before:
            self.shown.emit()
            self.changed.emit()

    @Slot(ErrorReport)
    def _on_not_counted(self, report: ErrorReport) -> None:
        """The estimate stays."""
        log.window.info("the tokens of a file were not counted: %s", report.text())


def read_attachment(path: Path) -> Attachment:
    """The text of a file. Raises one of the errors above."""
    name = path.name[:_NAME_CHARACTERS]
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise AttachmentNotText(name=name)
        if facts.st_size > MAX_BYTES:
            raise AttachmentTooLarge(name=name, size=facts.st_size, limit=MAX_BYTES)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        detail = problem.strerror or os.strerror(problem.errno or 0)
        raise AttachmentNotRead(name=name, detail=detail) from problem
    if len(data) > MAX_BYTES:  # it has grown since
        raise AttachmentTooLarge(name=name, size=len(data), limit=MAX_BYTES)
    text = decoded(data)
    if text is None:
        raise AttachmentNotText(name=name)
    if not text.strip():
        raise AttachmentEmpty(name=name)
    return Attachment(name, text)


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

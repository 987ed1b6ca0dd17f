"""Writes conversations as HTML or PDF, in slices on the window's thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import tr
from r1desk.chat.formulas.formula_service import FormulaKey, FormulaService
from r1desk.conversations.export.document_blocks import (
    ExportedConversation,
    formulas_of,
    markdown_blocks,
)
from r1desk.conversations.export.html_writer import HtmlWriter
from r1desk.conversations.export.pdf_writer import PdfWriter
from r1desk.conversations.widgets.archive_dialogs import PDF_SUFFIX
from r1desk.platform.background_thread import in_background
from r1desk.store import MessageNode, Store
from r1desk.store.errors import ArchiveNotWritten
from r1desk.store.store_bridge import StoreBridge

_SLICE_S = 0.006

Work = Iterator[set[FormulaKey] | None]  # formulas to wait for, or None: go on at once


class FileWriting(QObject):
    """A finished document on its way to the disk, in a thread of its own."""

    finished = Signal(object)  # ErrorReport, None where all went well

    def start(self, file: Path, writer: HtmlWriter | PdfWriter) -> None:
        """Write now; `finished` follows."""
        in_background(self, lambda: self.finished.emit(_write(file, writer)))


def _write(file: Path, writer: HtmlWriter | PdfWriter) -> ErrorReport | None:
    try:
        write_atomically(file, writer.document())
    except OSError as problem:
        return ArchiveNotWritten(path=str(file), detail=problem.strerror or "").report()
    return None


class ConversationExport(QObject):
    """One export. It reads one conversation at a time from the store.

    Signals:
        progressed: conversations written, and how many there are.
        finished: ErrorReport, or None where the file is there. Not emitted after `cancel`, which
            deletes the export.
    """

    progressed = Signal(int, int)
    finished = Signal(object)

    def __init__(
        self, store: StoreBridge, file: Path, conversation_ids: list[int] | None, parent: QObject
    ) -> None:
        """`conversation_ids` None stands for all conversations outside the trash."""
        super().__init__(parent)
        self._store, self._file, self._chosen = store, file, conversation_ids
        self._formulas = FormulaService(self)
        self._formulas.settled.connect(self._on_settled)
        self._writer: HtmlWriter | PdfWriter | None = None
        self._ids: list[int] = []
        self._done = 0
        self._work: Work | None = None
        self._wanted: set[FormulaKey] = set()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._on_timeout)
        self._writing: FileWriting | None = None
        self._cancelled = False

    def start(self) -> None:
        """Begin."""

        def chosen(store: Store) -> list[int]:
            if self._chosen is not None:
                return self._chosen
            return [info.id for info in store.conversations.infos()]

        self._store.call(chosen, self._on_chosen, self._on_failed)

    def cancel(self) -> None:
        """Write nothing."""
        self._cancelled = True
        self._stop()
        self.deleteLater()

    # ---- from one conversation to the next

    def _on_chosen(self, conversation_ids: list[int]) -> None:
        if self._cancelled:
            return
        self._ids = conversation_ids
        self._next()

    def _next(self) -> None:
        self.progressed.emit(self._done, len(self._ids))
        if self._cancelled:  # by a receiver
            return
        if self._done == len(self._ids):
            self._finish()
            return
        conversation_id = self._ids[self._done]

        def load(store: Store) -> ExportedConversation:
            title = store.conversations.get(conversation_id).title
            return ExportedConversation(title, tuple(store.messages.path(conversation_id)))

        self._store.call(load, self._on_loaded, self._on_failed)

    def _on_loaded(self, conversation: ExportedConversation) -> None:
        if self._cancelled:
            return
        if self._writer is None:
            self._writer = self._new_writer(conversation.title)
        self._work = _written(self._writer, conversation)
        self._timer.start()

    def _new_writer(self, title: str) -> HtmlWriter | PdfWriter:
        if self._file.suffix.lower() != PDF_SUFFIX:
            return HtmlWriter(self._formulas)
        return PdfWriter(self._formulas, title if len(self._ids) == 1 else tr("All conversations"))

    def _finish(self) -> None:
        if self._writer is None:  # nothing is there to be exported
            self._writer = self._new_writer("")
        self._writer.close()
        self._formulas.stop()
        self._writing = FileWriting()
        self._writing.finished.connect(self._on_written)
        self._writing.start(self._file, self._writer)

    @Slot(object)
    def _on_written(self, report: ErrorReport | None) -> None:
        if not self._cancelled:
            self.finished.emit(report)

    def _on_failed(self, error: Exception) -> None:
        if self._cancelled:
            return
        self._stop()
        if not isinstance(error, R1Error):
            raise error
        self.finished.emit(error.report())

    def _stop(self) -> None:
        self._timer.stop()
        self._work = None
        self._formulas.stop()
        if self._writer is not None and self._writing is None:
            self._writer.close()  # a painter must end before the document it draws on goes

    # ---- slices

    @Slot()
    def _on_timeout(self) -> None:
        deadline = time.perf_counter() + _SLICE_S
        while self._work is not None and time.perf_counter() < deadline:
            try:
                wanted = next(self._work)
            except StopIteration:
                self._timer.stop()
                self._work = None
                self._done += 1
                self._next()
                return
            if wanted and not self._are_settled(wanted):
                self._timer.stop()  # `_on_settled` starts it again
                return

    def _are_settled(self, wanted: set[FormulaKey]) -> bool:
        self._wanted = {key for key in wanted if not self._formulas.is_settled(key)}
        for key in self._wanted:
            self._formulas.request(key)
        self._wanted = {key for key in self._wanted if not self._formulas.is_settled(key)}
        return not self._wanted

    @Slot(object)
    def _on_settled(self, keys: frozenset[FormulaKey]) -> None:
        if self._work is None or not self._wanted:
            return
        self._wanted -= keys
        if not self._wanted:
            self._timer.start()


def _written(writer: HtmlWriter | PdfWriter, conversation: ExportedConversation) -> Work:
    """Write a conversation, pausing between short steps."""
    yield from writer.begin_conversation(conversation)
    for message in conversation.messages:
        if message.role.value != "assistant":
            yield from writer.add_question(message)
        else:
            yield from _answer(writer, message)
        yield None


def _answer(writer: HtmlWriter | PdfWriter, message: MessageNode) -> Work:
    yield from writer.add_author(message)
    if message.thinking.strip():
        yield from writer.begin_thinking(message)
        yield from _markdown(writer, message.thinking)
        yield from writer.end_thinking()
    yield from _markdown(writer, message.content)


def _markdown(writer: HtmlWriter | PdfWriter, source: str) -> Work:
    for block in markdown_blocks(source):
        if block is None:
            yield None
            continue
        if wanted := formulas_of(block):
            yield wanted
        yield from writer.add_block(block)

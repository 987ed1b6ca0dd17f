"""The thread that lays out, draws and writes an exported document."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from PySide6.QtCore import QCoreApplication, QThread, Signal, Slot

from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.errors import ErrorReport
from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines
from r1desk.chat.formulas.formula_service import FormulaKey
from r1desk.chat.formulas.settled_formulas import SettledFormulas
from r1desk.conversations.export.document_blocks import (
    ExportedConversation,
    formulas_of,
    markdown_blocks,
)
from r1desk.conversations.export.html_writer import HtmlWriter
from r1desk.conversations.export.pdf_writer import PdfWriter
from r1desk.store.errors import ArchiveNotWritten

Writer = HtmlWriter | PdfWriter
NewWriter = Callable[[SettledFormulas, Callable[[], None]], Writer]
Layouts = Mapping[FormulaKey, FormulaLayout | None]

# The interpreter runs one thread at a time: after so much work the window's thread gets its turn.
_TURN_S = 0.004
_PAUSE_S = 0.001

_running: set[ExportThread] = set()  # a QThread that is deleted while it runs ends the process


class _Cancelled(Exception):
    """No file is to be written."""


class ExportThread(QThread):
    """Writes conversations into one file.

    The end of a PDF takes 0.1 ms for every different glyph in it, at once: too long for the
    window's thread. Fonts are each thread's own in Qt, so whatever touches a document is done here.

    Signals, received in the window's thread:
        formulas_wanted: a set of `FormulaKey`; `provide` answers.
        conversation_written: one of those that were `add`ed.
        document_written: ErrorReport, or None where the file is there.
        failed: an exception that nobody expected.
    """

    formulas_wanted = Signal(object)
    conversation_written = Signal()
    document_written = Signal(object)
    failed = Signal(Exception)

    def __init__(self, file: Path, new_writer: NewWriter, outlines: GlyphOutlines) -> None:
        """`new_writer` is called in this thread."""
        super().__init__()
        self._file, self._new_writer, self._outlines = file, new_writer, outlines
        self._conversations: SimpleQueue[ExportedConversation | None] = SimpleQueue()
        self._layouts: SimpleQueue[Layouts] = SimpleQueue()
        self._cancelled = Event()
        self._turn_began = 0.0
        self.finished.connect(self._on_finished)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_about_to_quit)

    # ---- the window's thread

    def begin(self) -> None:
        """Start the thread."""
        _running.add(self)
        self.start()

    def add(self, conversation: ExportedConversation) -> None:
        """Write one more conversation; `conversation_written` follows."""
        self._conversations.put(conversation)

    def finish(self) -> None:
        """Write the file; `document_written` follows."""
        self._conversations.put(None)

    def provide(self, layouts: Layouts) -> None:
        """Give the layouts that `formulas_wanted` asked for."""
        self._layouts.put(layouts)

    @Slot()
    def cancel(self) -> None:
        """Write no file. The thread ends soon; no signal but `finished` follows."""
        self._cancelled.set()
        self._conversations.put(None)
        self._layouts.put({})

    @Slot()
    def _on_finished(self) -> None:
        _running.discard(self)

    @Slot()
    def _on_about_to_quit(self) -> None:
        self.cancel()
        self.wait()

    # ---- this thread

    def run(self) -> None:
        """Write until the end or `cancel`; the thread's body."""
        try:
            report = self._write()
        except _Cancelled:
            return
        except Exception as error:  # noqa: BLE001 - raised again in the window's thread
            self.failed.emit(error)
            return
        self.document_written.emit(report)

    def _write(self) -> ErrorReport | None:
        formulas = SettledFormulas(self._outlines)
        writer = self._new_writer(formulas, self._pause)
        try:
            while (conversation := self._conversations.get()) is not None:
                self._write_conversation(writer, formulas, conversation)
            self._pause()
        finally:
            writer.close()  # a painter must end before the document it draws on goes
        try:
            write_atomically(self._file, writer.document())
        except OSError as problem:
            return ArchiveNotWritten(path=str(self._file), detail=problem.strerror or "").report()
        return None

    def _write_conversation(
        self, writer: Writer, formulas: SettledFormulas, conversation: ExportedConversation
    ) -> None:
        writer.begin_conversation(conversation)
        for message in conversation.messages:
            self._pause()
            if message.role.value != "assistant":
                writer.add_question(message)
                continue
            writer.add_author(message)
            if message.thinking.strip():
                writer.begin_thinking(message)
                self._write_markdown(writer, formulas, message.thinking)
                writer.end_thinking()
            self._write_markdown(writer, formulas, message.content)
        self.conversation_written.emit()

    def _write_markdown(self, writer: Writer, formulas: SettledFormulas, source: str) -> None:
        for block in markdown_blocks(source, self._pause):
            if wanted := formulas_of(block):
                self.formulas_wanted.emit(wanted)
                formulas.use(self._layouts.get())
            self._pause()
            writer.add_block(block)

    def _pause(self) -> None:
        """Give the window's thread its turn now and then. Raises _Cancelled."""
        if self._cancelled.is_set():
            raise _Cancelled
        if time.perf_counter() - self._turn_began > _TURN_S:
            time.sleep(_PAUSE_S)
            self._turn_began = time.perf_counter()

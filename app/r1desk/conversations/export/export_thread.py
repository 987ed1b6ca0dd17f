"""The thread that lays out, draws and writes an exported document."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
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
from r1desk.store import MessageNode
from r1desk.store.errors import ArchiveNotWritten

Writer = HtmlWriter | PdfWriter
Layouts = Mapping[FormulaKey, FormulaLayout | None]
Steps = Iterator[set[FormulaKey] | None]  # formulas to wait for, or None: go on at once

# The interpreter runs one thread at a time: after so much work the window's thread gets its turn.
_TURN_S = 0.004
_PAUSE_S = 0.001

_running: set[ExportThread] = set()  # a QThread that is deleted while it runs ends the process


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

    def __init__(
        self, file: Path, new_writer: Callable[[SettledFormulas], Writer], outlines: GlyphOutlines
    ) -> None:
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
        except Exception as error:  # noqa: BLE001 - raised again in the window's thread
            self.failed.emit(error)
            return
        if not self._cancelled.is_set():
            self.document_written.emit(report)

    def _write(self) -> ErrorReport | None:
        formulas = SettledFormulas(self._outlines)
        writer = self._new_writer(formulas)
        try:
            while (conversation := self._conversations.get()) is not None:
                self._write_conversation(writer, formulas, conversation)
        finally:
            writer.close()  # a painter must end before the document it draws on goes
        if self._cancelled.is_set():
            return None
        try:
            write_atomically(self._file, writer.document())
        except OSError as problem:
            return ArchiveNotWritten(path=str(self._file), detail=problem.strerror or "").report()
        return None

    def _write_conversation(
        self, writer: Writer, formulas: SettledFormulas, conversation: ExportedConversation
    ) -> None:
        for wanted in _steps(writer, conversation):
            if wanted:
                self.formulas_wanted.emit(wanted)
                formulas.use(self._layouts.get())
            if self._cancelled.is_set():
                return
            self._let_others_work()
        self.conversation_written.emit()

    def _let_others_work(self) -> None:
        if time.perf_counter() - self._turn_began > _TURN_S:
            time.sleep(_PAUSE_S)
            self._turn_began = time.perf_counter()


def _steps(writer: Writer, conversation: ExportedConversation) -> Steps:
    """Write a conversation, pausing between short steps."""
    yield from writer.begin_conversation(conversation)
    for message in conversation.messages:
        if message.role.value != "assistant":
            yield from writer.add_question(message)
        else:
            yield from _answer(writer, message)
        yield None


def _answer(writer: Writer, message: MessageNode) -> Steps:
    yield from writer.add_author(message)
    if message.thinking.strip():
        yield from writer.begin_thinking(message)
        yield from _markdown(writer, message.thinking)
        yield from writer.end_thinking()
    yield from _markdown(writer, message.content)


def _markdown(writer: Writer, source: str) -> Steps:
    for block in markdown_blocks(source):
        if block is None:
            yield None
            continue
        if wanted := formulas_of(block):
            yield wanted
        yield from writer.add_block(block)

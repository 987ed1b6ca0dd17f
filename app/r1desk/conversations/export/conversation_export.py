"""Exports conversations as HTML or PDF: what the window's thread does of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.i18n import tr
from r1desk.chat.formulas.formula_layout import FormulaLayout
from r1desk.chat.formulas.formula_service import FormulaKey, FormulaService
from r1desk.conversations.export.document_blocks import ExportedConversation
from r1desk.conversations.export.export_thread import ExportThread
from r1desk.conversations.export.html_writer import HtmlWriter
from r1desk.conversations.export.pdf_writer import PdfWriter
from r1desk.conversations.widgets.archive_dialogs import PDF_SUFFIX
from r1desk.store import Store
from r1desk.store.store_bridge import StoreBridge


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
        self._thread: ExportThread | None = None
        self._ids: list[int] = []
        self._done = 0
        self._unsettled: set[FormulaKey] = set()  # the thread waits for these
        self._layouts: dict[FormulaKey, FormulaLayout | None] = {}
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
        self._formulas.stop()
        if self._thread is None:
            self.deleteLater()
        else:
            self._thread.finished.connect(self.deleteLater)
            self._thread.cancel()

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
            self._started_thread("").finish()
            return
        conversation_id = self._ids[self._done]

        def load(store: Store) -> ExportedConversation:
            title = store.conversations.get(conversation_id).title
            return ExportedConversation(title, tuple(store.messages.path(conversation_id)))

        self._store.call(load, self._on_loaded, self._on_failed)

    def _on_loaded(self, conversation: ExportedConversation) -> None:
        if not self._cancelled:
            self._started_thread(conversation.title).add(conversation)

    @Slot()
    def _on_conversation_written(self) -> None:
        if not self._cancelled:
            self._done += 1
            self._next()

    @Slot(object)
    def _on_document_written(self, report: ErrorReport | None) -> None:
        if not self._cancelled:
            self._formulas.stop()
            self.finished.emit(report)

    @Slot(Exception)
    def _on_failed(self, error: Exception) -> None:
        if self._cancelled:
            return
        self._formulas.stop()
        if self._thread is not None:
            self._thread.cancel()
        if not isinstance(error, R1Error):
            raise error
        self.finished.emit(error.report())

    def _started_thread(self, title: str) -> ExportThread:
        """The thread that writes; `title` is that of the first conversation."""
        if self._thread is None:
            is_pdf = self._file.suffix.lower() == PDF_SUFFIX
            whole_title = title if len(self._ids) == 1 else tr("All conversations")
            thread = self._thread = ExportThread(
                self._file,
                partial(PdfWriter, title=whole_title) if is_pdf else HtmlWriter,
                self._formulas.outlines,
            )
            thread.formulas_wanted.connect(self._on_formulas_wanted)
            thread.conversation_written.connect(self._on_conversation_written)
            thread.document_written.connect(self._on_document_written)
            thread.failed.connect(self._on_failed)
            self.destroyed.connect(thread.cancel)
            thread.begin()
        return self._thread

    # ---- formulas

    @Slot(object)
    def _on_formulas_wanted(self, keys: set[FormulaKey]) -> None:
        if self._cancelled:
            return
        self._layouts = {}
        self._unsettled = set(keys)
        for key in keys:
            self._formulas.request(key)
        self._on_settled(frozenset(key for key in keys if self._formulas.is_settled(key)))

    @Slot(object)
    def _on_settled(self, keys: frozenset[FormulaKey]) -> None:
        if self._thread is None or not self._unsettled:
            return
        self._layouts |= {key: self._formulas.layout(key) for key in keys & self._unsettled}
        self._unsettled -= keys
        if not self._formulas.is_busy:  # what the service did not accept stays source
            self._unsettled.clear()
        if not self._unsettled:
            self._thread.provide(self._layouts)

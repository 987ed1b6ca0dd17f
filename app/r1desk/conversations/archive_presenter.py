"""Exports and imports conversations: the dialogs for a file, the store, and the notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QDir, QObject, QStandardPaths, Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import join_sentences, tr, trn
from r1desk.platform.background_thread import ask_in_background
from r1desk.store.archive import export_json, export_markdown
from r1desk.store.archive_import import ImportedConversations, import_json
from r1desk.store.store_bridge import StoreBridge, report_of
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar

MARKDOWN_SUFFIX, HTML_SUFFIX, PDF_SUFFIX = ".md", ".html", ".pdf"
_NOT_IN_NAMES = '<>:"/\\|?*'
_NAME_CHARACTERS = 60
NOTICE_AFTER_S = 0.7  # a shorter export needs no word about it


class ArchivePresenter(QObject):
    """Asks for a file, lets the store write or read it, and reports how that went."""

    imported = Signal(list)  # the new conversations
    closing = Signal()  # exports end, and write nothing

    def __init__(self, store: StoreBridge, parent: QObject) -> None:
        super().__init__(parent)
        self._store = store
        self._window: QWidget | None = None
        self._notices: NoticeBar | None = None
        self._title_of: Callable[[int | None], str] = lambda _: ""

    def attach(
        self, window: QWidget, notices: NoticeBar, title_of: Callable[[int | None], str]
    ) -> None:
        """Use this window for dialogs and notices; `title_of` gives a conversation's title."""
        self._window, self._notices, self._title_of = window, notices, title_of

    @Slot(object)
    def choose_export(self, conversation_id: int | None) -> None:
        """Ask where one conversation, or all for None, is to be written."""
        if self._window is None:
            return
        title = self._title_of(conversation_id) if conversation_id else tr("All conversations")
        dialog = export_dialog(self._window, title, of_all=conversation_id is None)
        dialog.fileSelected.connect(lambda path: self.export(conversation_id, Path(path)))
        dialog.open()

    @Slot()
    def choose_import(self) -> None:
        """Ask for a file with conversations."""
        if self._window is None:
            return
        dialog = import_dialog(self._window)
        dialog.fileSelected.connect(lambda path: self.import_file(Path(path)))
        dialog.open()

    def export(self, conversation_id: int | None, file: Path) -> None:
        """Write one conversation, or all for None; the file's suffix decides on the form."""
        chosen = None if conversation_id is None else [conversation_id]
        if file.suffix.lower() in {HTML_SUFFIX, PDF_SUFFIX}:
            self._export_document(chosen, file)
            return
        write = export_markdown if file.suffix.lower() == MARKDOWN_SUFFIX else export_json
        self._store.call(
            lambda store: write(store, file, chosen),
            lambda _: self._show(exported_text(file), Level.INFO),
            self._on_failed,
        )

    def _export_document(self, chosen: list[int] | None, file: Path) -> None:
        from r1desk.conversations.export.conversation_export import (  # noqa: PLC0415 - not at start
            ConversationExport,
        )

        export = ConversationExport(self._store, file, chosen, self)
        waiting = tr("Writing {file}…", file=file.name)
        started = time.monotonic()

        def progressed(_done: int, _count: int) -> None:
            if time.monotonic() - started > NOTICE_AFTER_S and self._notices is not None:
                self._notices.show_notice(Notice(waiting, Level.INFO, tr("Cancel"), export.cancel))

        def finished(report: ErrorReport | None) -> None:
            if self._notices is not None:
                self._notices.withdraw(waiting)
            if report is None:
                self._show(exported_text(file), Level.INFO)
            else:
                self._show(report.text(), Level.ERROR)

        export.progressed.connect(progressed)
        export.finished.connect(finished)
        self.closing.connect(export.close)
        export.start()

    def import_file(self, file: Path) -> None:
        """Store the conversations of a file as new ones, but for those that are here already."""

        def imported(done: ImportedConversations) -> None:
            text = trn("{n} conversation imported.", "{n} conversations imported.", len(done.ids))
            if done.already_here:
                here = trn("{n} was here already.", "{n} were here already.", done.already_here)
                text = join_sentences((text, here))
            self._show(text, Level.INFO)
            self.imported.emit(list(done.ids))

        answer = ask_in_background(partial(import_json, self._store.run, file))
        answer.done.connect(imported)
        answer.failed.connect(lambda report: self._show(report.text(), Level.ERROR))

    def _on_failed(self, error: Exception) -> None:
        self._show(report_of(error).text(), Level.ERROR)

    def _show(self, text: str, level: Level) -> None:
        if self._notices is not None:
            self._notices.show_notice(Notice(text, level))


def exported_text(file: Path) -> str:
    """Says where an exported file is."""
    return tr("Exported to {file} in {folder}.", file=file.name, folder=str(file.absolute().parent))


def export_dialog(parent: QWidget, title: str, *, of_all: bool = False) -> QFileDialog:
    """A dialog for a new file; the caller connects `fileSelected` and opens it.

    `of_all`: all conversations are exported, most likely to be imported on another computer, so the
    form that can be imported comes first.
    """
    dialog = _dialog(parent, tr("Export"))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    texts = [
        tr("Markdown, the text shown (*.md)"),
        tr("Web page with formulas (*.html)"),
        tr("PDF, for printing (*.pdf)"),
    ]
    archive = tr("For R1 Desk on another computer, with all versions (*.json)")
    filters = [archive, *texts] if of_all else [*texts, archive]
    dialog.setNameFilters(filters)
    dialog.setDefaultSuffix(suffix_of(filters[0]))
    dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(suffix_of(chosen)))
    dialog.selectFile(file_name(title))
    return dialog


def suffix_of(name_filter: str) -> str:
    """The suffix in a filter of the dialog, "md" in "Markdown (*.md)"."""
    return name_filter.rpartition("*.")[2].rstrip(")")


def import_dialog(parent: QWidget) -> QFileDialog:
    """A dialog for an exported file; the caller connects `fileSelected` and opens it."""
    dialog = _dialog(parent, tr("Import conversations"))
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([tr("Exported conversations (*.json)"), tr("All files (*)")])
    return dialog


def _dialog(parent: QWidget, title: str) -> QFileDialog:
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    dialog = QFileDialog(parent, title, documents if QDir(documents).exists() else QDir.homePath())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return dialog


def file_name(title: str) -> str:
    """A name that every system takes, from a conversation's title."""
    kept = "".join(" " if c in _NOT_IN_NAMES or not c.isprintable() else c for c in title)
    return " ".join(kept.split())[:_NAME_CHARACTERS].strip(" .") or "conversation"

"""Lists of documents: those of a folder of chats, and all that are kept, with their sizes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QHeaderView, QTreeWidget, QTreeWidgetItem
from shiboken6 import isValid

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.hardware.processor import on_battery
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.file_reader import FileRead, ReadingProgress
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.features import Presenter
from r1desk.store import Attachment, FolderInfo, Store
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.file_dialog import file_dialog
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.notice_bar import Notice
from r1desk.widgets.text_label import push_button, text_label

_SUITED = QSize(620, 420)
_SHA256 = Qt.ItemDataRole.UserRole
_FAILED = "files of a folder"  # a topic of notices
_REFRESHED = 50  # files that are added at a time, before the list is shown anew


class DocumentsDialog(BoundedDialog):
    """A list of documents. Those that are selected can be taken out, and others added.

    Signals:
        files_wanted, folder_wanted: others are to be chosen.
        removal_wanted: a list of hashes.
        stop_wanted: no more files are to be read.
        hurry_wanted: files are to be read on battery, too.
    """

    files_wanted = Signal()
    folder_wanted = Signal()
    removal_wanted = Signal(list)
    stop_wanted = Signal()
    hurry_wanted = Signal()

    def __init__(self, parent: QObject, title: str, note: str, *, can_add: bool) -> None:
        super().__init__(parent, title, _SUITED)
        column = self.fill_column(spacing=8)
        column.addWidget(text_label(note, "dim"))
        self.tree = QTreeWidget(rootIsDecorated=False, sortingEnabled=False)
        self.tree.setHeaderLabels([tr("Document"), tr("Pages"), tr("Tokens")])
        self.tree.setAccessibleName(tr("Documents"))
        self.tree.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.itemSelectionChanged.connect(self._on_selected)
        column.addWidget(self.tree, 1)
        row = put_inside(column, QHBoxLayout())
        self.add_files = push_button(tr("Add files…"), self.files_wanted.emit)
        self.add_folder = push_button(tr("Add a folder…"), self.folder_wanted.emit)
        label = tr("Remove") if can_add else tr("Delete")
        self.remove = push_button(label, self._on_remove)
        for button in (self.add_files, self.add_folder, self.remove):
            row.addWidget(button)
            button.setVisible(can_add or button is self.remove)
        row.addStretch()
        below = put_inside(column, QHBoxLayout())
        self.status = text_label("", "dim")
        below.addWidget(self.status, 1)
        self.hurry = push_button(tr("Read on battery too"), self.hurry_wanted.emit)
        self.stop = push_button(tr("Stop"), self.stop_wanted.emit)
        for button in (self.hurry, self.stop):
            below.addWidget(button)
            button.hide()
        self._on_selected()

    def show_documents(self, documents: Sequence[Attachment]) -> None:
        """Show these, each with its size."""
        self.tree.clear()
        for each in documents:
            texts = [
                fit.prose(each.name),
                f"{each.pages:,}" if each.pages else "",
                f"≈ {each.tokens:,}" if each.tokens else "",
            ]
            item = QTreeWidgetItem(self.tree, texts)
            item.setData(0, _SHA256, each.sha256)
            for number in (1, 2):
                item.setTextAlignment(number, Qt.AlignmentFlag.AlignRight)
        self._on_selected()

    def show_reading(self, status: str, *, waits: bool) -> None:
        """Show what is being read; an empty text where nothing is. `waits`: for mains power."""
        self.status.setText(status)
        self.stop.setVisible(bool(status))
        self.hurry.setVisible(waits)

    @Slot()
    def _on_selected(self) -> None:
        self.remove.setEnabled(bool(self.tree.selectedItems()))

    @Slot()
    def _on_remove(self) -> None:
        chosen = [item.data(0, _SHA256) for item in self.tree.selectedItems()]
        self.removal_wanted.emit(chosen)


class DocumentLists(Presenter):
    """Shows the lists; files that were added are read on after a list was closed."""

    def __init__(self, window: ChatWindow, documents: ChatDocuments, store: StoreBridge) -> None:
        super().__init__(window)
        self._window, self._documents, self._store = window, documents, store
        self._stop = threading.Event()
        self._dialog: DocumentsDialog | None = None
        self._folder = 0  # whose documents are shown; 0: all
        self._left: set[str] = set()  # paths of files to be read
        documents.refused.connect(self._refuse)
        window.chats_menu.addAction(tr("Documents…"), self.show_all)

    def close(self) -> None:
        """Read no more: the window goes."""
        self._stop.set()
        super().close()

    @Slot()
    def show_all(self) -> None:
        """Show all documents, to be deleted."""
        size = tr("{n:,.1f} MiB", n=self._documents.size_bytes() / 2**20)
        note = tr(
            "The texts and their index take {size}. A document goes with the last chat or folder "
            "that has it; deleted here, it is taken out of all of them.",
            size=size,
        )
        self._show(0, DocumentsDialog(self._window, tr("Documents"), note, can_add=False))

    def show_folder(self, folder: FolderInfo) -> None:
        """Show the documents of a folder of chats."""
        note = tr("All chats in this folder are answered from these documents.")
        title = tr("Documents of “{name}”", name=folder.name)
        self._show(folder.id, DocumentsDialog(self._window, title, note, can_add=True))

    def _show(self, folder: int, dialog: DocumentsDialog) -> None:
        self._folder, self._dialog = folder, dialog
        dialog.files_wanted.connect(partial(self._choose, QFileDialog.FileMode.ExistingFiles))
        dialog.folder_wanted.connect(partial(self._choose, QFileDialog.FileMode.Directory))
        dialog.removal_wanted.connect(self._remove)
        dialog.stop_wanted.connect(self._on_stop)
        dialog.hurry_wanted.connect(self._documents.files.hurry)
        self._refresh()
        dialog.show()

    @Slot()
    def _refresh(self) -> None:
        folder, dialog = self._folder, self._dialog
        if dialog is None or not isValid(dialog):
            return

        def read(store: Store) -> tuple[Attachment, ...]:
            return store.attachments.of_folder(folder) if folder else store.attachments.every()

        def shown(documents: tuple[Attachment, ...]) -> None:
            if isValid(dialog):
                dialog.show_documents(documents)

        self._store.call(read, shown)

    def _remove(self, hashes: list[str]) -> None:
        folder = self._folder

        def remove(store: Store) -> None:
            for each in hashes:
                store.attachments.drop_document(each, folder or None)

        def removed(_: None) -> None:
            self._documents.delete_unused(hashes)
            self._documents.refresh()
            self._refresh()

        self._store.call(remove, removed)

    def _choose(self, mode: QFileDialog.FileMode) -> None:
        chooser = file_dialog(self._window, tr("Add documents"), [tr("All files (*)")])
        chooser.setFileMode(mode)
        chooser.filesSelected.connect(partial(self._add, self._folder))
        chooser.open()

    def _add(self, folder: int, paths: Sequence[str]) -> None:
        if self._stop.is_set():  # else others are being read: one button stops all
            self._stop = threading.Event()
        reading = self._documents.files.read(paths, self._stop, gently=True)
        reading.done.connect(partial(self._on_read, folder))
        reading.failed.connect(self._refuse)
        reading.ended.connect(self._on_ended)

    def _on_read(self, folder: int, result: ReadingProgress | FileRead) -> None:
        if isinstance(result, ReadingProgress):
            self._left.add(result.path)
            name = Path(result.path).name
            left = trn("{n:,} file is left", "{n:,} files are left", len(self._left))
            waits = self._documents.files.waits_for_mains and on_battery()
            status = tr("Waits until the computer is plugged in") if waits else name
            self._show_status(f"{status} · {left}", waits=waits)
            return
        self._left.discard(result.path)
        if isinstance(result.result, ErrorReport):
            self._refuse(result.result)
            return
        document = result.result

        def stored(_: None) -> None:
            if len(self._left) % _REFRESHED == 0:
                self._refresh()

        self._store.call(lambda store: store.attachments.add_to_folder(folder, document), stored)

    @Slot(ErrorReport)
    def _refuse(self, report: ErrorReport) -> None:
        self._window.notices.show_notice(Notice(report.text(), topic=_FAILED))

    @Slot()
    def _on_ended(self) -> None:
        self._refresh()
        self._documents.refresh()
        if not self._left or self._stop.is_set():
            self._show_status("", waits=False)

    @Slot()
    def _on_stop(self) -> None:
        self._stop.set()
        self._left.clear()
        self._show_status("", waits=False)

    def _show_status(self, text: str, *, waits: bool) -> None:
        if self._dialog is not None and isValid(self._dialog):
            self._dialog.show_reading(text, waits=waits)

"""The dialog of the trash: look at a conversation, restore it, or delete it for good."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QDateTime, QLocale, QSize, Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr, trn
from r1desk.store import ConversationInfo
from r1desk.widgets.bounded_dialog import size_within_screen


class TrashDialog(QDialog):
    """Lists trashed conversations; its owner does what the signals ask and fills it again.

    Signals:
        opened: a conversation was clicked; it is shown in the window below the dialog.
        restore_requested, purge_requested: for these conversations.
    """

    opened = Signal(int)
    restore_requested = Signal(list)  # conversation ids
    purge_requested = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Trash"))
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Conversations in the trash"))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.itemSelectionChanged.connect(self._on_selection)
        self.list.itemClicked.connect(self._on_opened)
        self.list.itemActivated.connect(self._on_opened)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.note = QLabel(wordWrap=True)
        self.restore_button = QPushButton(tr("Restore"))
        self.restore_button.clicked.connect(self._on_restore)
        self.purge_button = QPushButton(tr("Delete for good…"))
        self.purge_button.clicked.connect(self._on_purge)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.restore_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.purge_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (self.note, self.list, buttons):
            layout.addWidget(widget)
        self.show_conversations(())

    def showEvent(self, event: QShowEvent) -> None:
        self.resize(size_within_screen(self, QSize(480, 360)))
        super().showEvent(event)

    def show_conversations(self, conversations: Sequence[ConversationInfo]) -> None:
        """Fill the list."""
        self.list.clear()
        self.note.setText(
            tr("Conversations stay here for 30 days.")
            if conversations
            else tr("The trash is empty. What you move here stays for 30 days.")
        )
        for info in conversations:
            when = QDateTime.fromSecsSinceEpoch(int(info.trashed_at or 0))
            date = QLocale().toString(when, QLocale.FormatType.ShortFormat)
            item = QListWidgetItem(f"{info.title}    {date}")
            item.setData(Qt.ItemDataRole.UserRole, info.id)
            self.list.addItem(item)
        self._on_selection()

    def _chosen(self) -> list[int]:
        return [item.data(Qt.ItemDataRole.UserRole) for item in self.list.selectedItems()]

    @Slot(QListWidgetItem)
    def _on_opened(self, item: QListWidgetItem) -> None:
        self.opened.emit(item.data(Qt.ItemDataRole.UserRole))

    @Slot()
    def _on_selection(self) -> None:
        for button in (self.restore_button, self.purge_button):
            button.setEnabled(bool(self._chosen()))

    @Slot()
    def _on_restore(self) -> None:
        self.restore_requested.emit(self._chosen())

    @Slot()
    def _on_purge(self) -> None:
        chosen = self._chosen()
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setText(
            trn(
                "Delete {n} conversation for good?",
                "Delete {n} conversations for good?",
                len(chosen),
            )
        )
        question.setInformativeText(tr("This cannot be undone."))
        delete = question.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.setDefaultButton(QMessageBox.StandardButton.Cancel)
        delete.clicked.connect(lambda: self.purge_requested.emit(chosen))
        question.open()

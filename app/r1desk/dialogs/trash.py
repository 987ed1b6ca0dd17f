"""What was moved to the trash: look, take back, or remove for good."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QDateTime, QLocale, Qt, Signal, Slot
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

from deepseek_r1.core.words import tr
from r1desk.store import ConversationInfo


class TrashDialog(QDialog):
    """Lists trashed conversations. Emits wishes; the owner carries them out and shows anew."""

    restore_requested = Signal(list)  # conversation ids
    purge_requested = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Trash"))
        self.resize(480, 360)
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Conversations in the trash"))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.itemSelectionChanged.connect(self._on_selection)
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

    @Slot()
    def _on_selection(self) -> None:
        for button in (self.restore_button, self.purge_button):
            button.setEnabled(bool(self._chosen()))

    @Slot()
    def _on_restore(self) -> None:
        self.restore_requested.emit(self._chosen())

    @Slot()
    def _on_purge(self) -> None:
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Warning)
        question.setText(tr("Delete {count} conversation(s) for good?", count=len(self._chosen())))
        question.setInformativeText(tr("This cannot be undone."))
        delete = question.addButton(tr("Delete"), QMessageBox.ButtonRole.DestructiveRole)
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.setDefaultButton(QMessageBox.StandardButton.Cancel)
        chosen = self._chosen()
        question.finished.connect(
            lambda _: (
                self.purge_requested.emit(chosen) if question.clickedButton() is delete else None
            )
        )
        question.open()

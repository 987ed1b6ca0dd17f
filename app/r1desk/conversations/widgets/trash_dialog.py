"""The dialog of the trash: look at a conversation, restore it, or delete it for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QMessageBox,
    QPushButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr, trn
from r1desk.conversations.widgets.conversation_rows import Row, date_text
from r1desk.conversations.widgets.row_delegate import RowDelegate
from r1desk.conversations.widgets.row_model import ItemRole, RowModel
from r1desk.store import ConversationInfo
from r1desk.widgets.bounded_dialog import size_within_screen
from r1desk.widgets.text_label import text_label

SUITED_PX = 460, 420  # the width, and the most height


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
        self._rows = RowModel()
        self.list = QTreeView(headerHidden=True, rootIsDecorated=False, indentation=0)
        self.list.setModel(self._rows)
        self.list.setItemDelegate(RowDelegate(self.list, has_menus=False))
        self.list.setMouseTracking(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setSizeAdjustPolicy(QTreeView.SizeAdjustPolicy.AdjustToContents)
        self.list.setAccessibleName(tr("Conversations in the trash"))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.selectionModel().selectionChanged.connect(self._on_selection)
        for opening in (self.list.clicked, self.list.activated):
            opening.connect(lambda index: self.opened.emit(_id_of(index)))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.note = text_label("", "dim")
        self.restore_button = QPushButton(tr("Restore"))
        self.restore_button.clicked.connect(lambda: self.restore_requested.emit(self._chosen()))
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
        self._fit()
        super().showEvent(event)

    def show_conversations(self, conversations: Sequence[ConversationInfo]) -> None:
        """Fill the list."""
        now = datetime.now().astimezone()
        self._rows.show_rows(
            [
                Row(info.title, info.id, date=date_text(info.trashed_at or 0.0, now))
                for info in conversations
            ]
        )
        self.list.setVisible(bool(conversations))
        self.note.setText(
            tr("Conversations stay here for 30 days.")
            if conversations
            else tr("The trash is empty. What you move here stays for 30 days.")
        )
        self._fit()
        self._on_selection()

    def _fit(self) -> None:
        """Be as high as what is in the list."""
        width, most = SUITED_PX
        height = min(most, self.layout().totalHeightForWidth(width))
        self.resize(size_within_screen(self, QSize(width, height)))

    def _chosen(self) -> list[int]:
        return [_id_of(index) for index in self.list.selectionModel().selectedRows()]

    @Slot()
    def _on_selection(self) -> None:
        for button in (self.restore_button, self.purge_button):
            button.setEnabled(bool(self._chosen()))

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


def _id_of(index: QModelIndex) -> int:
    return int(index.data(ItemRole.ROW).conversation_id)

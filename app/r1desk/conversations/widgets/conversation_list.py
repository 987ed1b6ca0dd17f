"""The list of conversations: opened one at a time, selected and moved several at once."""

from collections.abc import Iterator

from PySide6.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSignalBlocker,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTreeView

from deepseek_r1.core.i18n import tr
from r1desk.chat.values.intents import Request
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.widgets.row_delegate import MORE_PX, RowDelegate
from r1desk.conversations.widgets.row_model import Index, ItemRole, Row, RowModel

_SELECT = QItemSelectionModel.SelectionFlag


class ConversationList(QTreeView):
    """Folders and conversations. Letters are left to the window, which lets the composer write."""

    # a conversation was chosen for good, by click or Enter, not by walking the list
    chosen = Signal()
    # the row that it is about, and where on the screen it is to open
    menu_wanted = Signal(QModelIndex, QPoint)

    def __init__(self, request: Request) -> None:
        super().__init__(headerHidden=True, rootIsDecorated=False, indentation=0)
        self._request = request
        self._revealed: int | None = None  # the open conversation that was scrolled to
        self.rows = RowModel(request)
        self._delegate = RowDelegate(self)
        self.setObjectName("conversations")
        self.setAccessibleName(tr("Chats"))
        self.setModel(self.rows)
        self.setItemDelegate(self._delegate)
        self.setMouseTracking(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setExpandsOnDoubleClick(False)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setAutoExpandDelay(600)  # of a folder that something is held over
        self.clicked.connect(self._on_clicked)
        self.activated.connect(self.choose)
        self.expanded.connect(self._on_folded)
        self.collapsed.connect(self._on_folded)

    # ---- what is shown ----------------------------------------------------------------------

    def show_rows(self, rows: list[Row]) -> None:
        """Replace all rows; what is selected, current and in sight stays so.

        After a search the conversation that is shown is brought into sight.
        """
        searched = bool(row_of(self.first_conversation()).query)
        selected, folder = self.selected_ids(), row_of(self.currentIndex()).folder_id
        place = self.verticalScrollBar().value()
        with QSignalBlocker(self), QSignalBlocker(self.selectionModel()):
            if not self.rows.show_rows(rows):
                return
            for at, row in enumerate(rows):
                if row.folder_id is not None and not row.folded:
                    self.expand(self.rows.index(at))
            self.set_open(self.rows.open)
            if folder is not None:
                current = self.rows.index_of_folder(folder)
                self.selectionModel().setCurrentIndex(current, _SELECT.ClearAndSelect)
            for key in selected if len(selected) > 1 else ():
                self.selectionModel().select(self.rows.index_of(key), _SELECT.Select)
        self.executeDelayedItemsLayout()
        self.verticalScrollBar().setValue(place)
        self._reveal_open(again=searched)

    def set_open(self, conversation_id: int | None) -> None:
        """Mark the conversation that is shown; None for a new one."""
        several = len(self.selected_ids()) > 1 and conversation_id == self.rows.open
        self.rows.open = conversation_id
        if several:
            return
        index, flag = self.rows.index_of(conversation_id), _SELECT.ClearAndSelect
        if index.parent().isValid() and not self.isExpanded(index.parent()):
            index, flag = index.parent(), _SELECT.Clear
        with QSignalBlocker(self.selectionModel()):
            self.selectionModel().setCurrentIndex(index, flag)
        self._reveal_open()
        self.viewport().update()

    def _reveal_open(self, *, again: bool = False) -> None:
        """Scroll to the conversation that is shown, once: afterwards the list is the user's."""
        index = self.rows.index_of(self.rows.open)
        if index.isValid() and (again or self.rows.open != self._revealed):
            folder = index.parent()
            self.scrollTo(index if self.isExpanded(folder) or not folder.isValid() else folder)
        if index.isValid() or self.rows.open is None:
            self._revealed = self.rows.open

    def set_answering(self, conversation_id: int | None, queued: frozenset[int]) -> None:
        """Mark the conversation whose answer is being written, and those whose turn comes."""
        self.rows.answering, self.rows.queued = conversation_id, queued
        self.viewport().update()

    def outline(self, index: QModelIndex = QModelIndex()) -> None:  # noqa: B008 - is no state
        """Draw a frame around the row that a menu is about; none without one."""
        self._delegate.outlined = QPersistentModelIndex(index)
        self.viewport().update()

    def reveal_folder(self, folder_id: int, *, edit: bool = False) -> None:
        """Show what is in a folder; `edit` lets its name be typed."""
        index = self.rows.index_of_folder(folder_id)
        self.expand(index)
        self.scrollTo(index)
        if edit and index.isValid():
            self.setFocus()
            self.setCurrentIndex(index)
            self.edit(index)

    # ---- what is chosen ---------------------------------------------------------------------

    def selected_ids(self) -> list[int]:
        """The selected conversations, from the top."""
        indexes = self.selectionModel().selectedIndexes()
        indexes.sort(key=lambda index: self.visualRect(index).top())
        found = (row_of(index).conversation_id for index in indexes)
        return [key for key in found if key is not None]

    def current_folder(self) -> int | None:
        """The folder that is current, or that has what is; None for none."""
        index = self.currentIndex()
        return row_of(index).folder_id or row_of(index.parent()).folder_id

    def currentChanged(self, current: Index, previous: Index) -> None:
        super().currentChanged(current, previous)
        # Tab into the list makes its first row current without selecting it: nobody chose it yet.
        selection = self.selectionModel()
        if selection.isSelected(current) and len(selection.selectedIndexes()) == 1:
            self.open_row(current)

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        keys = QGuiApplication.keyboardModifiers()
        if not keys & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier):
            self.choose(index)

    @Slot(QModelIndex)
    def choose(self, index: QModelIndex) -> None:
        """Fold or unfold a folder, or open a conversation for good."""
        if row_of(index).folder_id is not None:
            self.setExpanded(index, not self.isExpanded(index))
        elif self.open_row(index):
            self.chosen.emit()

    def open_row(self, index: Index) -> bool:
        """Ask for the conversation of a row; False where it has none."""
        row = row_of(index)
        if row.conversation_id is None:
            return False
        if row.query or row.conversation_id != self.rows.open:  # a double click: once
            self.rows.open = row.conversation_id
            message = row.message_id or 0  # 0 where only the title has the query
            self._request(intents.OpenConversation(row.conversation_id, message, row.query))
        return True

    def _conversations(self) -> Iterator[QModelIndex]:
        """The rows of all conversations outside of folded folders, from the top."""
        index = self.rows.index(0)
        while index.isValid():
            if row_of(index).conversation_id is not None:
                yield index
            index = self.indexBelow(index)

    def first_conversation(self) -> QModelIndex:
        return next(self._conversations(), QModelIndex())

    def step(self, delta: int) -> None:
        """Open the conversation below the one that is shown (1) or above it (-1)."""
        rows = list(self._conversations())
        keys = [row_of(row).conversation_id for row in rows]
        place = keys.index(self.rows.open) + delta if self.rows.open in keys else 0
        if 0 <= place < len(rows):
            self.open_row(rows[place])

    @Slot(QModelIndex)
    def _on_folded(self, index: QModelIndex) -> None:
        if (folder := row_of(index).folder_id) is not None:
            self._request(intents.FoldFolder(folder, not self.isExpanded(index)))

    # ---- keys and mouse ---------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave letters and Escape alone, and Up in the first row."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        printable = event.text().isprintable() and event.text().strip()
        plain = modifiers == Qt.KeyboardModifier.NoModifier
        if plain and (printable or event.key() == Qt.Key.Key_Escape):
            event.ignore()
            return
        before = self.currentIndex()
        super().keyPressEvent(event)
        if event.key() == Qt.Key.Key_Up and self.currentIndex() == before:
            event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The right button and the dots at the end of a row are for its menu alone."""
        index = self.indexAt(event.position().toPoint())
        place = self.visualRect(index)
        from_end = place.right() - event.position().x()
        is_left = event.button() == Qt.MouseButton.LeftButton
        if is_left and from_end < MORE_PX and self._has_menu(index):
            self.menu_wanted.emit(index, self.viewport().mapToGlobal(place.bottomRight()))
        elif event.button() != Qt.MouseButton.RightButton:
            super().mousePressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_keys = event.reason() == QContextMenuEvent.Reason.Keyboard
        index = self.currentIndex() if by_keys else self.indexAt(event.pos())
        if self._has_menu(index):
            at = self.viewport().mapToGlobal(self.visualRect(index).bottomLeft())
            self.menu_wanted.emit(index, at if by_keys else event.globalPos())

    def _has_menu(self, index: QModelIndex) -> bool:
        return row_of(index).conversation_id is not None or row_of(index).folder_id is not None


def row_of(index: Index) -> Row:
    """The row of an index, a heading without text for an invalid one."""
    return index.data(ItemRole.ROW) or Row("")

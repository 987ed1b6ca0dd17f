"""The conversation list with its search field. Emits wishes; the controller carries them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.words import tr
from r1desk.conversations.row_delegate import RowDelegate
from r1desk.conversations.rows import Role, RowModel, rows_by_day, rows_of_hits
from r1desk.layouts import put_inside
from r1desk.store import ConversationInfo, SearchHit
from r1desk.theme.icons import icon

SEARCH_DELAY_MS = 150


class Sidebar(QWidget):
    """New chat, search, the list, and the way to the trash."""

    new_requested = Signal()
    opened = Signal(int)
    rename_requested = Signal(int, str)
    trash_requested = Signal(int)
    trash_view_requested = Signal()
    search_requested = Signal(str)  # "" shows the whole list again

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self._conversations: Sequence[ConversationInfo] = ()
        self._current: int | None = None
        self._model = RowModel()
        self._model.renamed.connect(self.rename_requested)
        self._build()

    def _build(self) -> None:
        self.new_button = QPushButton(icon("plus"), tr("New chat"))
        self.new_button.setShortcut(QKeySequence.StandardKey.New)
        self.new_button.clicked.connect(self.new_requested)
        self.search = QLineEdit(clearButtonEnabled=True, placeholderText=tr("Search"))
        self.search.setAccessibleName(tr("Search in titles and messages"))
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setMaxLength(200)
        self._search_delay = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._search_delay.timeout.connect(self._on_search)
        self.search.textChanged.connect(self._search_delay.start)
        self.list = self._build_list()
        self.nothing = QLabel(alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.nothing.setTextFormat(Qt.TextFormat.PlainText)
        self.nothing.setForegroundRole(self.nothing.palette().ColorRole.PlaceholderText)
        self.trash_button = QToolButton(text=tr("Trash"), icon=icon("trash"), autoRaise=True)
        self.trash_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.trash_button.clicked.connect(self.trash_view_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        for widget in (self.new_button, self.search, self.nothing):
            layout.addWidget(widget)
        layout.addWidget(self.list, stretch=1)
        bottom = put_inside(layout, QHBoxLayout())
        bottom.addWidget(self.trash_button)
        bottom.addStretch()

    def _build_list(self) -> QListView:
        view = QListView(uniformItemSizes=False, mouseTracking=True)
        view.setObjectName("conversations")
        view.setAccessibleName(tr("Conversations"))
        view.setModel(self._model)
        view.setItemDelegate(RowDelegate(view))
        view.setFrameShape(QListView.Shape.NoFrame)
        view.viewport().setAutoFillBackground(False)
        view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._on_menu)
        view.selectionModel().currentChanged.connect(self._on_current_changed)
        view.activated.connect(self._open)
        for action in self._row_actions(view):
            view.addAction(action)
        return view

    def _row_actions(self, view: QListView) -> list[QAction]:
        """What can be done with a conversation. Trash takes two keys: one alone never deletes."""
        rename = QAction(icon("pencil"), tr("Rename"), view)
        rename.setShortcut(QKeySequence(Qt.Key.Key_F2))
        rename.triggered.connect(self._on_rename)
        trash = QAction(icon("trash"), tr("Move to trash"), view)
        trash.setShortcut(QKeySequence("Ctrl+Del"))
        trash.triggered.connect(self._on_trash)
        for action in (rename, trash):
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        return [rename, trash]

    def show_conversations(self, conversations: Sequence[ConversationInfo]) -> None:
        """The whole list; ignored on screen while a search is shown."""
        self._conversations = conversations
        if not self.search.text().strip():
            self._show_list()

    def show_hits(self, query: str, hits: Sequence[SearchHit]) -> None:
        """Results for `query`; late results for another text are dropped."""
        if query != self.search.text().strip():
            return
        self._model.show_rows(rows_of_hits(hits))
        self._say_nothing(tr("Nothing found.") if not hits else "")
        self._mark_current()

    def set_current(self, conversation_id: int | None) -> None:
        """Mark the conversation that is shown; None for a new one."""
        self._current = conversation_id
        self._mark_current()

    def focus_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus()
        self.search.selectAll()

    def _show_list(self) -> None:
        now = datetime.now().astimezone()
        self._model.show_rows(rows_by_day(self._conversations, now))
        empty = "" if self._conversations else tr("Your conversations appear here.")
        self._say_nothing(empty)
        self._mark_current()

    def _say_nothing(self, text: str) -> None:
        self.nothing.setText(text)
        self.nothing.setVisible(bool(text))

    def _mark_current(self) -> None:
        index = self._model.index_of(self._current)
        selection = self.list.selectionModel()
        selection.blockSignals(True)
        selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        selection.blockSignals(False)
        self.list.viewport().update()

    def _chosen(self) -> int | None:
        index = self.list.currentIndex()
        return index.data(Role.CONVERSATION_ID) if index.isValid() else None

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        # Tab into the list makes its first row current without selecting it: nobody chose it yet.
        if self.list.selectionModel().isSelected(current):
            self._open(current)

    @Slot(QModelIndex)
    def _open(self, index: QModelIndex) -> None:
        chosen = index.data(Role.CONVERSATION_ID) if index.isValid() else None
        if chosen is not None and chosen != self._current:
            self.opened.emit(chosen)

    @Slot()
    def _on_search(self) -> None:
        query = self.search.text().strip()
        if query:
            self.search_requested.emit(query)
        else:
            self._show_list()

    @Slot(QPoint)
    def _on_menu(self, position: QPoint) -> None:
        if self.list.indexAt(position).data(Role.CONVERSATION_ID) is not None:
            menu = QMenu(self)
            menu.addActions(self.list.actions())
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.list.viewport().mapToGlobal(position))

    @Slot()
    def _on_rename(self) -> None:
        if self._chosen() is not None:
            self.list.edit(self.list.currentIndex())

    @Slot()
    def _on_trash(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.trash_requested.emit(chosen)

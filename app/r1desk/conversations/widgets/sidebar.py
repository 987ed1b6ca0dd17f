"""The conversation list with its search field; a presenter does what its signals ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from PySide6.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QKeyEvent, QKeySequence
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

from deepseek_r1.core.i18n import tr
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.widgets.conversation_rows import (
    ItemRole,
    Row,
    RowModel,
    rows_by_day,
    rows_of_hits,
)
from r1desk.conversations.widgets.row_delegate import RowDelegate
from r1desk.store import ConversationInfo, SearchHit
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import put_inside

SEARCH_DELAY_MS = 150

_OfChosen = (
    intents.NameConversation
    | intents.TrashConversation
    | intents.DuplicateConversation
    | intents.ExportConversations
)


class ConversationListView(QListView):
    """A list without type-ahead: letters are left to the window, which gives them to the composer.

    Signals:
        left_upwards: Up in the first conversation.
    """

    left_upwards = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave printable keys alone; Up in the first row goes back to the search field."""
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        printable = event.text().isprintable() and event.text().strip()
        if printable and modifiers == Qt.KeyboardModifier.NoModifier:
            event.ignore()
            return
        before = self.currentIndex()
        super().keyPressEvent(event)
        if event.key() == Qt.Key.Key_Up and self.currentIndex() == before:
            self.left_upwards.emit()


class SearchField(QLineEdit):
    """A search field; Down goes into the list below it."""

    down_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.down_pressed.emit()
        else:
            super().keyPressEvent(event)


class Sidebar(QWidget):
    """New chat, search, the list, and the way to the trash.

    Signals:
        requested: a `ConversationIntent`. Walking the list opens each conversation.
        chosen: a conversation was chosen for good, by click or Enter, not by walking the list.
    """

    requested = Signal(object)
    chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self._conversations: Sequence[ConversationInfo] = ()
        self._current: int | None = None
        self._opens_first_hit = False  # Enter was pressed before the hits were there
        self._model = RowModel()
        self._model.renamed.connect(
            lambda *renamed: self.requested.emit(intents.RenameConversation(*renamed))
        )
        self._build()

    def _build(self) -> None:
        self.new_button = QPushButton(icon("plus"), tr("New chat"))
        self.new_button.clicked.connect(lambda: self.requested.emit(intents.NewChat()))
        self.search = SearchField(clearButtonEnabled=True, placeholderText=tr("Search"))
        self.search.setAccessibleName(tr("Search in titles and messages"))
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setMaxLength(200)
        self._search_delay = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._search_delay.timeout.connect(self._on_search)
        self.search.textChanged.connect(self._on_search_text)
        self.search.returnPressed.connect(self._on_search_entered)
        self.search.down_pressed.connect(self._on_search_down)
        self.list = self._build_list()
        self.nothing = QLabel(alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.nothing.setTextFormat(Qt.TextFormat.PlainText)
        self.nothing.setForegroundRole(self.nothing.palette().ColorRole.PlaceholderText)
        self.trash_button = QToolButton(text=tr("Trash"), icon=icon("trash"), autoRaise=True)
        self.trash_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.trash_button.clicked.connect(lambda: self.requested.emit(intents.ShowTrash()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        for widget in (self.new_button, self.search, self.nothing):
            layout.addWidget(widget)
        layout.addWidget(self.list, stretch=1)
        bottom = put_inside(layout, QHBoxLayout())
        bottom.addWidget(self.trash_button)
        bottom.addStretch()
        bottom.addWidget(self._make_more_button())

    def _make_more_button(self) -> QToolButton:
        """The menu for all conversations together."""
        button = QToolButton(icon=icon("more"), autoRaise=True)
        button.setAccessibleName(tr("Export and import"))
        button.setToolTip(tr("Export and import"))
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        emit = self.requested.emit
        menu.addAction(tr("Export all conversations…"), lambda: emit(intents.ExportConversations()))
        menu.addAction(tr("Import…"), lambda: emit(intents.ImportConversations()))
        button.setMenu(menu)
        return button

    def _build_list(self) -> QListView:
        view = ConversationListView(uniformItemSizes=False, mouseTracking=True)
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
        view.clicked.connect(self._on_chosen)
        view.activated.connect(self._on_chosen)
        view.left_upwards.connect(self.focus_search)
        self._add_row_actions(view)
        return view

    def _add_row_actions(self, view: QListView) -> None:
        """The actions on a conversation. Trash takes two keys: one alone never deletes."""
        duplicate = partial(self._request, intents.DuplicateConversation)
        export = partial(self._request, intents.ExportConversations)
        trash = partial(self._request, intents.TrashConversation)
        view.addAction(icon("pencil"), tr("Rename"), QKeySequence("F2"), self._on_rename)
        self._pin = view.addAction(tr("Pin"), self._on_pin)
        view.addAction(tr("Name this chat"), partial(self._request, intents.NameConversation))
        view.addAction(icon("copy"), tr("Duplicate"), duplicate)
        view.addAction(icon("download"), tr("Export…"), export)
        view.addAction(icon("trash"), tr("Move to trash"), QKeySequence("Ctrl+Del"), trash)
        for action in view.actions():
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)

    def show_conversations(self, conversations: Sequence[ConversationInfo]) -> None:
        """The whole list; ignored on screen while a search is shown."""
        self._conversations = conversations
        if not self.search.text().strip():
            self._show_list()

    def show_hits(self, query: str, hits: Sequence[SearchHit]) -> None:
        """Results for `query`; late results for another text are dropped."""
        if query != self.search.text().strip():
            return
        self._model.show_rows(rows_of_hits(hits, query, datetime.now().astimezone()))
        self._show_empty_note(tr("Nothing found.") if not hits else "")
        self._mark_current()
        if self._opens_first_hit:
            self._opens_first_hit = False
            self._on_chosen(self._first_conversation())

    def set_current(self, conversation_id: int | None) -> None:
        """Mark the conversation that is shown; None for a new one."""
        self._current = conversation_id
        self._mark_current()

    def set_answering(
        self, conversation_id: int | None, queued: frozenset[int] = frozenset()
    ) -> None:
        """Mark the conversation whose answer is being written, and those whose turn comes."""
        self._model.set_answering(conversation_id, queued)

    @Slot()
    def focus_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus()
        self.search.selectAll()

    @property
    def conversations(self) -> Sequence[ConversationInfo]:
        """All of them, also while a search is shown."""
        return self._conversations

    def _show_list(self) -> None:
        now = datetime.now().astimezone()
        self._model.show_rows(rows_by_day(self._conversations, now))
        empty = "" if self._conversations else tr("Your conversations appear here.")
        self._show_empty_note(empty)
        self._mark_current()

    def _show_empty_note(self, text: str) -> None:
        self.nothing.setText(text)
        self.nothing.setVisible(bool(text))

    def _mark_current(self) -> None:
        index = self._model.index_of(self._current)
        selection = self.list.selectionModel()
        selection.blockSignals(True)
        selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        selection.blockSignals(False)
        self.list.viewport().update()

    def _chosen(self) -> Row:
        """The row that is current; one without a conversation where none is."""
        return _row(self.list.currentIndex())

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        # Tab into the list makes its first row current without selecting it: nobody chose it yet.
        if self.list.selectionModel().isSelected(current):
            self._open(current)

    @Slot(QModelIndex)
    def _on_chosen(self, index: QModelIndex) -> None:
        if self._open(index):
            self.chosen.emit()

    def _open(self, index: QModelIndex) -> bool:
        """Ask for the conversation of a row; False for a heading."""
        row = _row(index)
        if row.conversation_id is None:
            return False
        if row.query:
            message = row.message_id or 0  # 0 where only the title has the query
            self.requested.emit(intents.OpenConversation(row.conversation_id, message, row.query))
        elif row.conversation_id != self._current:
            self._current = row.conversation_id  # a double click opens it once
            self.requested.emit(intents.OpenConversation(row.conversation_id))
        return True

    def _conversation_rows(self) -> list[QModelIndex]:
        """The rows that are no headings."""
        rows = (self._model.index(number) for number in range(self._model.rowCount()))
        return [row for row in rows if _row(row).conversation_id is not None]

    def _first_conversation(self) -> QModelIndex:
        return next(iter(self._conversation_rows()), QModelIndex())

    def step(self, delta: int) -> None:
        """Open the conversation below the one that is shown (1) or above it (-1)."""
        rows = self._conversation_rows()
        keys = [_row(row).conversation_id for row in rows]
        place = keys.index(self._current) + delta if self._current in keys else 0
        if 0 <= place < len(rows):
            self._open(rows[place])

    @Slot()
    def _on_search_text(self) -> None:
        self._opens_first_hit = False
        self._search_delay.start()

    @Slot()
    def _on_search_entered(self) -> None:
        """Open the best hit, as soon as it is found."""
        if not self.search.text().strip():
            return
        if self._search_delay.isActive():
            self._search_delay.stop()
            self._opens_first_hit = True
            self._on_search()
        else:
            self._on_chosen(self._first_conversation())

    @Slot()
    def _on_search_down(self) -> None:
        first = self._first_conversation()
        if not first.isValid():
            return
        was_current = self.list.currentIndex() == first
        self.list.setCurrentIndex(first)
        self.list.setFocus()
        if was_current:  # else the change has opened it
            self._open(first)

    @Slot()
    def _on_search(self) -> None:
        query = self.search.text().strip()
        if query:
            self.requested.emit(intents.SearchConversations(query))
        else:
            self._show_list()

    @Slot(QPoint)
    def _on_menu(self, position: QPoint) -> None:
        if _row(self.list.indexAt(position)).conversation_id is not None:
            self._pin.setText(tr("Unpin") if self._chosen().pinned else tr("Pin"))
            menu = QMenu(self)
            menu.addActions(self.list.actions())
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            # Later: the chosen action is about the row that was clicked.
            menu.aboutToHide.connect(lambda: QTimer.singleShot(0, self, self._on_menu_closed))
            menu.popup(self.list.viewport().mapToGlobal(position))

    @Slot()
    def _on_menu_closed(self) -> None:
        """Mark the open conversation again, unless the other one is being renamed."""
        if self.list.viewport().findChild(QLineEdit) is None:
            self._mark_current()

    @Slot()
    def _on_rename(self) -> None:
        if self._chosen().conversation_id is not None:
            self.list.edit(self.list.currentIndex())

    @Slot()
    def _on_pin(self) -> None:
        row = self._chosen()
        if row.conversation_id is not None:
            self.requested.emit(intents.PinConversation(row.conversation_id, not row.pinned))

    def _request(self, intent: type[_OfChosen], _checked: bool = False) -> None:
        """Ask for this of the chosen conversation."""
        chosen = self._chosen().conversation_id
        if chosen is not None:
            self.requested.emit(intent(chosen))


def _row(index: QModelIndex) -> Row:
    return index.data(ItemRole.ROW) or Row("")

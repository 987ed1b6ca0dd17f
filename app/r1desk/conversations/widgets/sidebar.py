"""The conversation list with its search field; a presenter does what its signals ask."""

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.editor import takes_escape
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.widgets.conversation_list import ConversationList
from r1desk.conversations.widgets.row_menu import RowMenu
from r1desk.conversations.widgets.row_model import (
    by_name,
    rows_by_day,
    rows_of_hits,
    rows_of_trash,
)
from r1desk.store import ConversationInfo, FolderInfo, SearchHit
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import call_with, open_menu_by, text_label, tool_button

SEARCH_DELAY_MS = 150


class Sidebar(QWidget):
    """New chat, search, the list, and a button that shows the trash in it."""

    # an `Intent` of the conversations. Walking the list opens each conversation.
    requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self.conversations: Sequence[ConversationInfo] = ()  # all, also while a search is shown
        self._new_in: int | None = None  # the folder of a chat that is not stored yet
        self._opens_first_hit = False  # Enter was pressed before the hits were there
        self._shows_trashed = False
        self._build()

    def _build(self) -> None:
        self.new_button = QPushButton(icon("plus"), tr("New chat"))
        call_with(self.new_button.clicked, self.requested.emit, intents.NewChat())
        self.search = QLineEdit(clearButtonEnabled=True, maxLength=200)
        self.search.setPlaceholderText(tr("Search"))
        self.search.setAccessibleName(tr("Search in titles and messages"))
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        buttons = self.search.findChildren(QToolButton)
        for button, name in zip(buttons, (tr("Clear"), tr("Search")), strict=True):
            button.setAccessibleName(name)
        self._search_delay = QTimer(self, singleShot=True, interval=SEARCH_DELAY_MS)
        self._search_delay.timeout.connect(self._on_search)
        self.search.textChanged.connect(self._on_search_text)
        self.search.returnPressed.connect(self._on_search_entered)
        down = QShortcut(Qt.Key.Key_Down, self.search, context=Qt.ShortcutContext.WidgetShortcut)
        down.activated.connect(self._on_search_down)
        self.list = ConversationList(self.requested.emit)
        self.menu = RowMenu(self.list, self.requested.emit)
        self.nothing = text_label("", "dim")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.trash_button = with_properties(
            QToolButton(), text=tr("Trash"), icon=icon("trash"), autoRaise=True
        )
        self.trash_button.setCheckable(True)
        self.trash_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.trash_button.clicked.connect(self._on_trash)
        parts = (self.new_button, self.search, self.nothing, self.list)
        layout = filled(QVBoxLayout(self), *parts, margins=(10, 10, 10, 8))
        layout.setStretch(parts.index(self.list), 1)
        bottom = filled(put_inside(layout, QHBoxLayout()), self.trash_button)
        bottom.addStretch()
        self.folder_button = tool_button("folder-plus", tr("New folder"))
        call_with(self.folder_button.clicked, self.requested.emit, intents.NewFolder())
        for button in (self.folder_button, self._make_more_button()):
            bottom.addWidget(button)

    def _make_more_button(self) -> QToolButton:
        """The menu for all conversations together."""
        button = tool_button("more", tr("Export and import"))
        menu = QMenu(button)
        export, take = menu.addAction(tr("Export all chats…")), menu.addAction(tr("Import chats…"))
        call_with(export.triggered, self.requested.emit, intents.ExportConversations())
        call_with(take.triggered, self.requested.emit, intents.ImportConversations())
        open_menu_by(button, menu)
        self.addAction(self.folder_button.accessibleName(), self.folder_button.click)
        self.addActions(menu.actions())  # for the palette
        return button

    def event(self, event: QEvent) -> bool:
        """In the trash and in a search Escape stops nothing that is computed elsewhere."""
        is_key = event.type() == QEvent.Type.ShortcutOverride
        if is_key and self._is_filtered() and takes_escape(event):
            return True
        return super().event(event)

    def _is_filtered(self) -> bool:
        is_searched = self.search.hasFocus() or bool(self.search.text())
        return is_searched or self.trash_button.isChecked()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves the trash, and what a search found; from the field one goes on writing."""
        if event.key() == Qt.Key.Key_Escape and self._is_filtered():
            self.end_search()
            if self.search.hasFocus():
                self.list.chosen.emit()
        elif event.key() == Qt.Key.Key_Up and self.list.hasFocus():  # in its first row
            self.focus_search()
        else:
            super().keyPressEvent(event)

    def show_conversations(
        self, conversations: Sequence[ConversationInfo], folders: Sequence[FolderInfo] = ()
    ) -> None:
        """The whole list; while a search is shown, what it finds is asked for again."""
        self.conversations = self.menu.conversations = conversations
        self.menu.folders = by_name(folders)
        self._on_search()

    def show_hits(self, query: str, hits: Sequence[SearchHit]) -> None:
        """Results for `query`; late results for another text are dropped."""
        if query != self.search.text().strip():
            return
        self.list.show_rows(rows_of_hits(hits, query, datetime.now().astimezone()))
        self._show_empty_note(tr("Nothing found.") if not hits else "")
        if self._opens_first_hit:
            self._opens_first_hit = False
            self.list.choose(self.list.first_conversation())

    def show_trash(self, conversations: Sequence[ConversationInfo]) -> None:
        """Show these, which are in the trash, unless the list is wanted again by now."""
        had, self._shows_trashed = self._shows_trashed, bool(conversations)
        if had and not conversations:  # the last one was restored, or deleted for good
            self.end_search()
        elif self.trash_button.isChecked():
            self.list.show_rows(rows_of_trash(conversations, datetime.now().astimezone()))
            empty = tr("The trash is empty. Deleted chats stay here for 30 days.")
            self._show_empty_note(
                tr("Deleted chats stay here for 30 days. Esc goes back.")
                if conversations
                else empty
            )

    def set_current(self, conversation_id: int | None, new_in: int | None = None) -> None:
        """Mark the conversation that is shown; None for a new one, in the folder `new_in`."""
        if new_in != self._new_in:
            self._new_in = new_in
            self._on_search()
        self.list.set_open(conversation_id)

    @Slot()
    def focus_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    @Slot()
    def end_search(self) -> None:
        self.search.clear()
        self.trash_button.setChecked(False)
        self._on_search()

    def _show_list(self) -> None:
        now = datetime.now().astimezone()
        folders = self.menu.folders
        self.list.show_rows(rows_by_day(self.conversations, now, folders, self._new_in))
        empty = not self.conversations and not folders
        self._show_empty_note(tr("Your chats appear here.") if empty else "")

    def _show_empty_note(self, text: str) -> None:
        self.nothing.setText(text)
        self.nothing.setVisible(bool(text))

    @Slot()
    def _on_search_text(self) -> None:
        self._opens_first_hit = False
        self.trash_button.setChecked(False)
        self._search_delay.start()

    @Slot()
    def _on_trash(self) -> None:
        with QSignalBlocker(self.search):
            self.search.clear()
        self._shows_trashed = False
        self._on_search()
        if self.trash_button.isChecked():
            self.list.setFocus()  # Escape leaves it

    @Slot()
    def _on_search_entered(self) -> None:
        """Open the best hit, as soon as it is found."""
        self._opens_first_hit = bool(self.search.text().strip())
        self._on_search()

    @Slot()
    def _on_search_down(self) -> None:
        first = self.list.first_conversation()
        if not first.isValid():
            return
        was_current = self.list.currentIndex() == first
        self.list.setCurrentIndex(first)
        self.list.setFocus()
        if was_current:  # else the change has opened it
            self.list.open_row(first)

    @Slot()
    def _on_search(self) -> None:
        self._search_delay.stop()
        if query := self.search.text().strip():
            self.requested.emit(intents.SearchConversations(query))
        elif self.trash_button.isChecked():
            self.requested.emit(intents.ShowTrash())
        else:
            self._show_list()

"""Connects the sidebar and the trash dialog with the store and the chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.controller import ChatController
from r1desk.chat.undo_history import UndoHistory
from r1desk.chat.widgets.composer import Composer
from r1desk.conversations.archive_presenter import ArchivePresenter
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.store import ConversationInfo, SearchHit, Store
from r1desk.store.archive import duplicate
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.notice_bar import NoticeBar

TRASH_DAYS = 30
LAST_CONVERSATION = "last_conversation"


@dataclass(frozen=True, slots=True)
class ConversationWidgets:
    """The widgets of one window that show conversations."""

    window: QWidget  # parent of dialogs
    sidebar: Sidebar
    composer: Composer
    notices: NoticeBar
    set_title: Callable[[str], None]


class ConversationsPresenter(QObject):
    """Keeps the sidebar and the window's title equal to what the store holds."""

    purged = Signal()  # conversations were deleted for good

    def __init__(self, store: StoreBridge, chat: ChatController, history: UndoHistory) -> None:
        super().__init__()
        self._history = history
        self._store = store
        self._chat = chat
        self._widgets: ConversationWidgets | None = None
        self._titles: dict[int, str] = {}
        self._archives = ArchivePresenter(store, self)
        self._archives.imported.connect(self._on_imported)
        chat.list_changed.connect(self.refresh)
        chat.branch_shown.connect(self._on_branch_shown)
        chat.busy_changed.connect(self._on_busy_changed)

    def attach(self, widgets: ConversationWidgets) -> None:
        """Serve these widgets until `detach`."""
        self._widgets = widgets
        self._archives.attach(widgets.window, widgets.notices, self._title_of)
        sidebar = widgets.sidebar
        sidebar.new_requested.connect(self._on_new)
        sidebar.opened.connect(self._chat.open)
        sidebar.hit_opened.connect(self._chat.open_at)
        sidebar.chosen.connect(widgets.composer.setFocus)
        sidebar.rename_requested.connect(self._on_rename)
        sidebar.trash_requested.connect(self._on_trash)
        sidebar.pin_requested.connect(self._on_pin)
        sidebar.duplicate_requested.connect(self._on_duplicate)
        sidebar.export_requested.connect(self._archives.choose_export)
        sidebar.import_requested.connect(self._archives.choose_import)
        sidebar.trash_view_requested.connect(self._on_trash_view)
        sidebar.search_requested.connect(self._on_search)

    def detach(self) -> None:
        """Drop the widgets of a window that is about to be closed or replaced."""
        self._widgets = None

    def open_last(self) -> None:
        """Show the conversation of last time, or a new one; empty the old trash."""
        self._store.call(
            lambda store: store.conversations.purge_trash(TRASH_DAYS) if store.writable else None
        )
        self.refresh()

        def last(store: Store) -> int | None:
            remembered = store.key_value.get(LAST_CONVERSATION)
            present = {info.id for info in store.conversations.infos()}
            return remembered if isinstance(remembered, int) and remembered in present else None

        def found(conversation_id: int | None) -> None:
            if self._chat.busy or self._chat.conversation_id is not None:
                return  # the user was faster
            if conversation_id is None or self._has_typed_text:
                self._chat.begin()
            else:
                self._chat.open(conversation_id)

        self._store.call(last, found)

    @property
    def _has_typed_text(self) -> bool:
        """True once something is typed: it belongs into the empty conversation on the screen."""
        return self._widgets is not None and bool(self._widgets.composer.text())

    @Slot()
    def refresh(self) -> None:
        """Read the list anew."""
        self._store.call(lambda store: store.conversations.infos(), self._on_list)

    def _on_list(self, conversations: Sequence[ConversationInfo]) -> None:
        self._titles = {info.id: info.title for info in conversations}
        if self._widgets is not None:
            self._widgets.sidebar.show_conversations(conversations)
            self._on_busy_changed()
            self._show_title()

    @Slot()
    def _on_new(self) -> None:
        self._chat.new_chat()
        if self._widgets is not None:
            self._widgets.composer.setFocus()

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        if self._widgets is not None:
            self._widgets.sidebar.set_current(conversation_id)
        self._show_title()
        self._store.call(
            lambda store: (
                store.key_value.set(LAST_CONVERSATION, conversation_id) if store.writable else None
            )
        )

    @Slot()
    def _on_busy_changed(self) -> None:
        if self._widgets is not None:
            self._widgets.sidebar.set_answering(self._chat.answering)

    def _title_of(self, conversation_id: int | None) -> str:
        return self._titles.get(conversation_id or 0, "")

    @Slot(int, bool)
    def _on_pin(self, conversation_id: int, pinned: bool) -> None:
        self._store.call(
            lambda store: store.conversations.set_pinned(conversation_id, pinned),
            lambda _: self.refresh(),
        )

    @Slot(int)
    def _on_duplicate(self, conversation_id: int) -> None:
        self._store.call(
            lambda store: duplicate(store, conversation_id), lambda key: self._on_imported([key])
        )

    @Slot(list)
    def _on_imported(self, conversation_ids: list[int]) -> None:
        self.refresh()
        if conversation_ids:
            self._chat.open(conversation_ids[0])

    def _show_title(self) -> None:
        if self._widgets is not None:
            self._widgets.set_title(self._title_of(self._chat.conversation_id))

    @Slot(int, str)
    def _on_rename(self, conversation_id: int, title: str) -> None:
        self._store.call(
            lambda store: store.conversations.rename(conversation_id, title),
            lambda _: self.refresh(),
        )

    @Slot(int)
    def _on_trash(self, conversation_id: int) -> None:
        self._chat.stop_conversation(conversation_id)
        title = self._title_of(conversation_id)

        def trashed(_: None) -> None:
            if self._chat.conversation_id == conversation_id:
                self._chat.new_chat()
            self.refresh()
            text = tr("“{title}” was moved to the trash.", title=title)
            self._history.add(text, conversation_id, partial(self._untrash, conversation_id))

        self._store.call(lambda store: store.conversations.trash(conversation_id), trashed)

    def _untrash(self, conversation_id: int, refused: Callable[[Exception], None]) -> None:
        """Undo the move to the trash and show the conversation."""

        def restored(_: None) -> None:
            self.refresh()
            self._chat.open(conversation_id)

        self._store.call(
            lambda store: store.conversations.restore(conversation_id), restored, refused
        )

    def _restore(self, conversation_ids: list[int]) -> None:
        def work(store: Store) -> None:
            for conversation_id in conversation_ids:
                store.conversations.restore(conversation_id)

        def restored(_: None) -> None:
            self.refresh()
            if self._chat.conversation_id in conversation_ids:
                self._chat.reopen()

        self._store.call(work, restored)

    @Slot(str)
    def _on_search(self, query: str) -> None:
        if self._widgets is None:
            return  # the window is closing

        def found(hits: Sequence[SearchHit]) -> None:
            if self._widgets is not None:
                self._widgets.sidebar.show_hits(query, hits)

        self._store.call(lambda store: store.search(query), found)

    @Slot()
    def _on_trash_view(self) -> None:
        if self._widgets is None:
            return
        dialog = TrashDialog(self._widgets.window)

        def show() -> None:
            self._store.call(
                lambda store: store.conversations.infos(trashed=True), dialog.show_conversations
            )
            self.refresh()

        def restore(ids: list[int]) -> None:
            self._restore(ids)
            show()

        def purge(ids: list[int]) -> None:
            def purged(_: int) -> None:
                if self._chat.conversation_id in ids:
                    self._chat.new_chat()
                show()
                self._history.forget(ids)
                self.purged.emit()

            self._store.call(lambda store: store.conversations.purge(ids), purged)

        dialog.opened.connect(self._chat.open)
        dialog.restore_requested.connect(restore)
        dialog.purge_requested.connect(purge)
        dialog.finished.connect(dialog.deleteLater)
        show()
        dialog.open()

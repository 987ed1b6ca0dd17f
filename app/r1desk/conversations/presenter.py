"""Connects the sidebar and the trash dialog with the store and the chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import UndoHistory
from r1desk.chat.composer.composer import Composer
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.archive_presenter import ArchivePresenter
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.store import ConversationInfo, SearchHit, Store
from r1desk.store.archive import duplicate
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.notice_bar import NoticeBar

TRASH_DAYS = 30
LAST_CONVERSATION = "last_conversation"


class ConversationsWindow(Protocol):
    """The main window, the parent of dialogs, as the conversations use it."""

    sidebar: Sidebar
    composer: Composer
    notices: NoticeBar

    def set_title(self, title: str) -> None:
        """Show the title of the conversation on the screen."""


class ConversationsPresenter(QObject):
    """Keeps the sidebar and the window's title equal to what the store holds."""

    purged = Signal()  # conversations were deleted for good
    opened = Signal()  # a person has opened a conversation

    def __init__(self, store: StoreBridge, chat: ChatController, history: UndoHistory) -> None:
        super().__init__()
        self._history = history
        self._store = store
        self._chat = chat
        self._window: ConversationsWindow | None = None
        self._titles: dict[int, str] = {}
        self._archives = ArchivePresenter(store, self)
        self._archives.imported.connect(self._on_imported)
        chat.list_changed.connect(self.refresh)
        chat.branch_shown.connect(self._on_branch_shown)
        chat.busy_changed.connect(self._on_busy_changed)

    def attach(self, window: ConversationsWindow) -> None:
        """Serve this window until `detach`."""
        self._window = window
        self._archives.attach(window, window.notices, self._title_of)
        window.sidebar.requested.connect(self.handle)
        window.sidebar.chosen.connect(window.composer.setFocus)

    def detach(self) -> None:
        """Let go of a window that is about to be closed or replaced."""
        self._window = None

    def close(self) -> None:
        """End exports: the store closes."""
        self._archives.closing.emit()

    @Slot(object)
    def handle(self, intent: intents.ConversationIntent) -> None:
        """Carry out what a person asks for."""
        match intent:
            case intents.NewChat():
                self._new_chat()
            case intents.OpenConversation(conversation, message, query):
                self._chat.open_at(conversation, message, query)
                self.opened.emit()
            case intents.RenameConversation(conversation, title):
                self._change(lambda store: store.conversations.rename(conversation, title))
            case intents.PinConversation(conversation, pinned):
                self._change(lambda store: store.conversations.set_pinned(conversation, pinned))
            case intents.DuplicateConversation(conversation):
                self._store.call(
                    lambda store: duplicate(store, conversation),
                    lambda key: self._on_imported([key]),
                )
            case intents.TrashConversation(conversation):
                self._trash(conversation)
            case intents.ExportConversations(conversation):
                self._archives.choose_export(conversation)
            case intents.ImportConversations():
                self._archives.choose_import()
            case intents.ShowTrash():
                self._show_trash()
            case intents.SearchConversations(query):
                self._search(query)
            case _:
                raise NotImplementedError(intent)

    def _change(self, change: Callable[[Store], None]) -> None:
        """Change a conversation in the list."""
        self._store.call(change, lambda _: self.refresh())

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
        return self._window is not None and bool(self._window.composer.text())

    @Slot()
    def refresh(self) -> None:
        """Read the list anew."""
        self._store.call(lambda store: store.conversations.infos(), self._on_list)

    def _on_list(self, conversations: Sequence[ConversationInfo]) -> None:
        self._titles = {info.id: info.title for info in conversations}
        if self._window is not None:
            self._window.sidebar.show_conversations(conversations)
            self._on_busy_changed()
            self._show_title()

    def _new_chat(self) -> None:
        self._chat.new_chat()
        if self._window is not None:
            self._window.composer.setFocus()

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        if self._window is not None:
            self._window.sidebar.set_current(conversation_id)
        self._show_title()
        self._store.call(
            lambda store: (
                store.key_value.set(LAST_CONVERSATION, conversation_id) if store.writable else None
            )
        )

    @Slot()
    def _on_busy_changed(self) -> None:
        if self._window is not None:
            self._window.sidebar.set_answering(self._chat.answering)

    def _title_of(self, conversation_id: int | None) -> str:
        return self._titles.get(conversation_id or 0, "")

    @Slot(list)
    def _on_imported(self, conversation_ids: list[int]) -> None:
        self.refresh()
        if conversation_ids:
            self._chat.open(conversation_ids[0])

    def _show_title(self) -> None:
        if self._window is not None:
            self._window.set_title(self._title_of(self._chat.conversation_id))

    def _trash(self, conversation_id: int) -> None:
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

    def _search(self, query: str) -> None:
        if self._window is None:
            return  # the window is closing

        def found(hits: Sequence[SearchHit]) -> None:
            if self._window is not None:
                self._window.sidebar.show_hits(query, hits)

        self._store.call(lambda store: store.search(query), found)

    def _show_trash(self) -> None:
        if self._window is None:
            return
        dialog = TrashDialog(self._window)

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

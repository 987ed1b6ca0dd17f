"""The list of conversations: between the sidebar, the trash and the store."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Slot

from deepseek_r1.core.words import tr
from r1desk.bridge import StoreBridge
from r1desk.chat_controller import ChatController
from r1desk.dialogs.notice_bar import Level, Notice
from r1desk.dialogs.trash import TrashDialog
from r1desk.main_window import MainWindow
from r1desk.store import ConversationInfo, SearchHit, Store

TRASH_DAYS = 30
LAST_CONVERSATION = "last_conversation"


class ConversationList(QObject):
    """Keeps the sidebar in step with the store."""

    def __init__(self, store: StoreBridge, chat: ChatController) -> None:
        super().__init__()
        self._store = store
        self._chat = chat
        self._window: MainWindow | None = None
        self._titles: dict[int, str] = {}
        chat.list_changed.connect(self.refresh)
        chat.branch_shown.connect(self._on_branch_shown)

    def attach(self, window: MainWindow) -> None:
        """Serve this window's sidebar."""
        self._window = window
        sidebar = window.sidebar
        sidebar.new_requested.connect(self._chat.new_chat)
        sidebar.opened.connect(self._chat.open)
        sidebar.rename_requested.connect(self._on_rename)
        sidebar.trash_requested.connect(self._on_trash)
        sidebar.trash_view_requested.connect(self._on_trash_view)
        sidebar.search_requested.connect(self._on_search)

    def detach(self) -> None:
        """Let go of a window that is about to be replaced."""
        self._window = None

    def open_last(self) -> None:
        """Show the conversation of last time, or a new one; empty the old trash."""
        self._store.call(lambda store: store.purge_trash(TRASH_DAYS) if store.writable else None)
        self.refresh()

        def last(store: Store) -> int | None:
            remembered = store.recall(LAST_CONVERSATION)
            present = {info.id for info in store.conversations()}
            return remembered if isinstance(remembered, int) and remembered in present else None

        def found(conversation_id: int | None) -> None:
            if self._chat.busy or self._chat.conversation_id is not None:
                return  # the user was faster
            if conversation_id is None or self._writing:
                self._chat.begin()
            else:
                self._chat.open(conversation_id)

        self._store.call(last, found)

    @property
    def _writing(self) -> bool:
        """True once something is typed: it belongs into the empty conversation on the screen."""
        return self._window is not None and bool(self._window.composer.text())

    @Slot()
    def refresh(self) -> None:
        """Read the list anew."""
        self._store.call(lambda store: store.conversations(), self._on_list)

    def _on_list(self, conversations: Sequence[ConversationInfo]) -> None:
        self._titles = {info.id: info.title for info in conversations}
        if self._window is not None:
            self._window.sidebar.show_conversations(conversations)
            self._show_title()

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        if self._window is not None:
            self._window.sidebar.set_current(conversation_id)
        self._show_title()
        self._store.call(
            lambda store: (
                store.remember(LAST_CONVERSATION, conversation_id) if store.writable else None
            )
        )

    def _show_title(self) -> None:
        if self._window is not None:
            self._window.set_title(self._titles.get(self._chat.conversation_id or 0, ""))

    @Slot(int, str)
    def _on_rename(self, conversation_id: int, title: str) -> None:
        self._store.call(
            lambda store: store.rename(conversation_id, title), lambda _: self.refresh()
        )

    @Slot(int)
    def _on_trash(self, conversation_id: int) -> None:
        answer = self._chat.answer
        if answer is not None and answer.conversation_id == conversation_id:
            self._chat.stop()

        def trashed(_: None) -> None:
            if self._chat.conversation_id == conversation_id:
                self._chat.new_chat()
            self.refresh()
            if self._window is not None:
                self._window.notices.show_notice(
                    Notice(
                        tr("Moved to the trash."),
                        Level.INFO,
                        tr("Undo"),
                        lambda: self._restore([conversation_id]),
                    )
                )

        self._store.call(lambda store: store.trash(conversation_id), trashed)

    def _restore(self, conversation_ids: list[int]) -> None:
        def work(store: Store) -> None:
            for conversation_id in conversation_ids:
                store.restore(conversation_id)

        self._store.call(work, lambda _: self.refresh())

    @Slot(str)
    def _on_search(self, query: str) -> None:
        def found(hits: Sequence[SearchHit]) -> None:
            if self._window is not None:
                self._window.sidebar.show_hits(query, hits)

        self._store.call(lambda store: store.search(query), found)

    @Slot()
    def _on_trash_view(self) -> None:
        dialog = TrashDialog(self._window)

        def show() -> None:
            self._store.call(
                lambda store: store.conversations(trashed=True), dialog.show_conversations
            )
            self.refresh()

        def restore(ids: list[int]) -> None:
            self._restore(ids)
            show()

        def purge(ids: list[int]) -> None:
            self._store.call(lambda store: store.purge(ids), lambda _: show())

        dialog.restore_requested.connect(restore)
        dialog.purge_requested.connect(purge)
        dialog.finished.connect(dialog.deleteLater)
        show()
        dialog.open()

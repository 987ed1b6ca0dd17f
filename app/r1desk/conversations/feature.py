"""The list of conversations, search, trash, export and import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QMenu

from deepseek_r1.core.i18n import tr
from r1desk.chat.composer.composer import Composer
from r1desk.chat.feature import ChatFeature
from r1desk.chat.messages.view import ChatView
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.archive_presenter import ArchivePresenter
from r1desk.conversations.title_writer import TitleWriter
from r1desk.conversations.unseen_answers import UnseenAnswers
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.features import Feature, Services
from r1desk.store import ConversationInfo, Store
from r1desk.store.archive import duplicate
from r1desk.widgets.notice_bar import NoticeBar

TRASH_DAYS = 30
LAST_CONVERSATION = "last_conversation"
QUESTIONS_UNTIL = 10  # conversations; then one knows what to ask


class ConversationsWindow(Protocol):
    """The main window, the parent of dialogs, as the conversations use it."""

    sidebar: Sidebar
    chat: ChatView
    composer: Composer
    notices: NoticeBar
    chats_menu: QMenu

    def raise_to_front(self) -> None:
        """Show the window above the others."""

    def set_title(self, title: str) -> None:
        """Show the title of the conversation on the screen."""


class ConversationsFeature(Feature):
    """Keeps the sidebar and the window's title equal to what the store holds. Main thread."""

    opened = Signal()  # a person has opened a conversation

    def __init__(self, services: Services, chat: ChatFeature) -> None:
        super().__init__()
        self._store, self._chat = services.store, chat.controller
        self._history, self._prompts = chat.history, chat.prompts
        self._window: ConversationsWindow  # set by `attach`, before anything is shown
        self._titles: dict[int, str] = {}
        self._archives = ArchivePresenter(services.store, self)
        self._archives.imported.connect(self._on_imported)
        self.unseen = UnseenAnswers(services, self._chat, self._title_of, self.refresh)
        self.unseen.notices.clicked.connect(self._on_notice_clicked)
        self._titler = TitleWriter(services, self._chat, self._rename)
        self._chat.list_changed.connect(self.refresh)
        self._chat.branch_shown.connect(self._on_branch_shown)
        self._chat.busy_changed.connect(self._on_busy_changed)

    def attach(self, window: ConversationsWindow) -> None:
        """Show the conversations in this window."""
        self._window = window
        self.unseen.window = window
        self._archives.attach(window, window.notices)
        self._name_action = window.chats_menu.addAction(
            tr("Name this chat"),
            lambda: self.handle(intents.NameConversation(self._chat.conversation_id or 0)),
        )
        window.sidebar.requested.connect(self.handle)
        window.sidebar.chosen.connect(window.composer.setFocus)

    def start(self) -> None:
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
            # What is typed by now belongs into the empty conversation on the screen.
            if conversation_id is None or self._window.composer.text():
                self._chat.begin()
            else:
                self._chat.open(conversation_id)

        self._store.call(last, found)

    def close(self) -> None:
        """End exports: the store closes."""
        self.unseen.close()
        self._archives.closing.emit()

    @Slot(object)
    def handle(self, intent: intents.ConversationIntent) -> None:
        """Carry out what a person asks for."""
        match intent:
            case intents.NewChat():
                self._chat.new_chat()
                self._window.composer.setFocus()
            case intents.OpenConversation(conversation, message, query):
                self._chat.open(conversation, message, query)
                self.opened.emit()
            case intents.RenameConversation(conversation, title):
                self._rename(conversation, title)
            case intents.PinConversation(conversation, pinned):
                self._change(lambda store: store.conversations.set_pinned(conversation, pinned))
            case intents.DuplicateConversation(conversation):
                self._store.call(
                    lambda store: duplicate(store, conversation),
                    lambda key: self._on_imported([key]),
                )
            case intents.NameConversation(conversation):
                self._titler.start(conversation)
            case intents.TrashConversation(conversation):
                self._trash(conversation)
            case intents.ExportConversations(conversation):
                self._archives.choose_export(conversation, self._title_of(conversation))
            case intents.ImportConversations():
                self._archives.choose_import()
            case intents.ShowTrash():
                self._show_trash()
            case intents.SearchConversations(query):
                self._store.call(
                    lambda store: store.search(query),
                    lambda hits: self._window.sidebar.show_hits(query, hits),
                )
            case _:
                raise NotImplementedError(intent)

    def _change(self, change: Callable[[Store], None]) -> None:
        """Change a conversation in the list."""
        self._store.call(change, lambda _: self.refresh())

    def _rename(self, conversation: int, title: str) -> None:
        self._change(lambda store: store.conversations.rename(conversation, title))

    @Slot()
    def refresh(self) -> None:
        """Read the list anew."""
        self._store.call(lambda store: store.conversations.infos(), self._on_list)

    def _on_list(self, conversations: Sequence[ConversationInfo]) -> None:
        self._titles = {info.id: info.title for info in conversations}
        self._window.sidebar.show_conversations(conversations)
        self._window.chat.welcome.show_questions(len(conversations) < QUESTIONS_UNTIL)
        self.unseen.show_list(conversations)
        self._on_busy_changed()
        self._show_title()

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        self._window.sidebar.set_current(conversation_id)
        self._name_action.setEnabled(conversation_id is not None)
        self._show_title()
        self._store.call(
            lambda store: (
                store.key_value.set(LAST_CONVERSATION, conversation_id) if store.writable else None
            )
        )

    @Slot()
    def _on_busy_changed(self) -> None:
        self._window.sidebar.set_answering(self._chat.answering, self._chat.waiting)

    def _title_of(self, conversation_id: int | None) -> str:
        return self._titles.get(conversation_id or 0, "")

    @Slot(list)
    def _on_imported(self, conversation_ids: list[int]) -> None:
        self.refresh()
        if conversation_ids:
            self._chat.open(conversation_ids[0])

    def _show_title(self) -> None:
        self._window.set_title(self._title_of(self._chat.conversation_id))

    @Slot(str)
    def _on_notice_clicked(self, key: str) -> None:
        """Show the conversation of a notice of the desktop."""
        self._chat.open(int(key))
        self._window.raise_to_front()

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

    def _show_trash(self) -> None:
        dialog = TrashDialog(self._window)

        def show() -> None:
            self._store.call(
                lambda store: store.conversations.infos(trashed=True), dialog.show_conversations
            )
            self.refresh()

        def restore(ids: list[int]) -> None:
            def work(store: Store) -> None:
                for conversation_id in ids:
                    store.conversations.restore(conversation_id)

            def restored(_: None) -> None:
                show()
                if self._chat.conversation_id in ids:
                    self._chat.reopen()

            self._store.call(work, restored)

        def purge(ids: list[int]) -> None:
            def purged(_: int) -> None:
                if self._chat.conversation_id in ids:
                    self._chat.new_chat()
                show()
                self._history.forget(ids)
                self._prompts.retain_present()

            self._store.call(lambda store: store.conversations.purge(ids), purged)

        dialog.opened.connect(self._chat.open)
        dialog.restore_requested.connect(restore)
        dialog.purge_requested.connect(purge)
        dialog.finished.connect(dialog.deleteLater)
        show()
        dialog.open()

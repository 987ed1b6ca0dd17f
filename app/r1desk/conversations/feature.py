"""The list of conversations, search, trash, export and import; answers that nobody saw yet."""

from dataclasses import replace

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.feature import ChatFeature
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.values.intents import Intent
from r1desk.conversations import conversation_intents as intents
from r1desk.conversations.archives import Archives
from r1desk.conversations.title_writer import TitleWriter
from r1desk.conversations.trash_presenter import TrashPresenter
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.features import Feature, Services
from r1desk.platform.desktop import OFFERED, SystemNotices
from r1desk.platform.qt_application import application
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import (
    ChatMessage,
    ConversationInfo,
    ConversationSettings,
    FolderInfo,
    MessageState,
    Store,
    StoreWork,
)
from r1desk.widgets.notice_bar import Level, Notice

TRASH_DAYS = 30
LAST_CONVERSATION = "last_conversation"
QUESTIONS_UNTIL = 10  # conversations; then one knows what to ask


class ConversationsWindow(ChatWindow):
    """The main window, the parent of dialogs, as the conversations use it."""

    sidebar: Sidebar

    def raise_to_front(self) -> None:
        """Show the window above the others."""

    def set_title(self, title: str) -> None:
        """Show the title of the conversation on the screen."""


class ConversationsFeature(Feature[ConversationsWindow]):
    """Keeps the sidebar and the window's title equal to what the store holds. Main thread."""

    opened = Signal()  # a person has opened a conversation

    def __init__(self, services: Services, chat: ChatFeature) -> None:
        super().__init__()
        self._store, self._notify = services.store, services.notify
        self.tasks = Tasks(self, chat.controller.report_failure)
        self._chat_feature, self._chat, self._documents = chat, chat.controller, chat.documents
        self._window: ConversationsWindow  # set by `attach`, before anything is shown
        self._infos: dict[int | None, ConversationInfo] = {}
        self._folder_infos: dict[int, FolderInfo] = {}
        self._trash = TrashPresenter(services.store, chat)
        self._trash.changed.connect(self.refresh)
        self._archives = Archives(services.store, chat.controller, self)
        self._archives.imported.connect(self.refresh)
        self._preferences = services.preferences
        self._notices = SystemNotices(self)  # each of a conversation
        self._notices.clicked.connect(self._open_in_front)
        self._chat.pending_writes.saved.connect(self._on_saved)
        application().focusWindowChanged.connect(self._look)
        self._titler = TitleWriter(services, self._chat)
        self._titler.written.connect(self._rename)
        self._chat.list_changed.connect(self.refresh)
        self._chat.branch_shown.connect(self._on_branch_shown)
        self._chat.busy_changed.connect(self._on_busy_changed)

    def attach(self, window: ConversationsWindow) -> None:
        self._window = window
        self._archives.window = window
        window.sidebar.requested.connect(self.handle)
        window.composer.editor.addActions(window.sidebar.menu.of_open_chat)
        window.sidebar.list.chosen.connect(window.composer.setFocus)
        window.sidebar.search.textChanged.connect(self._on_search_text)

    def start(self) -> None:
        """Show the conversation of last time, or a new one; empty the old trash."""
        self._empty_trash()
        self.refresh()
        self._open_last()

    @task
    async def _open_last(self) -> None:

        def last(store: Store) -> int | None:
            remembered = store.key_value.get(LAST_CONVERSATION)
            present = {info.id for info in store.conversations.infos()}
            return remembered if isinstance(remembered, int) and remembered in present else None

        conversation_id = await self._store.ask(last)
        if self._chat.busy or self._chat.conversation_id is not None:
            return  # the user was faster
        # What is typed by now belongs into the empty conversation on the screen.
        if conversation_id is None or self._window.composer.text():
            self._chat.begin()
        else:
            self._chat.open(conversation_id)

    @task
    async def _empty_trash(self) -> None:
        def purge(store: Store) -> int:
            return store.conversations.purge_trash(TRASH_DAYS) if store.writable else 0

        while await self._store.ask(purge):
            pass
        self._documents.clean()

    def close(self) -> None:
        application().focusWindowChanged.disconnect(self._look)
        self._archives.close()

    @Slot(object)
    def handle(self, intent: Intent) -> None:  # noqa: PLR0912 - one case for each
        """Carry out what a person asks for."""
        match intent:
            case intents.NewChat(folder):
                self._new_chat(folder)
            case intents.OpenConversation(conversation, message, query):
                self._chat.open(conversation, message, query)
                self.opened.emit()
            case intents.RenameConversation(conversation, title):
                self._rename(conversation, title)
            case intents.PinConversations(conversations, pinned):
                self._change(lambda store: store.conversations.set_pinned(conversations, pinned))
            case intents.StopAnswerIn(conversation):
                self._chat.answers.stop(conversation)
            case intents.NameConversation(conversation):
                self._titler.start(conversation)
            case intents.ExportConversations(conversations):
                everything = tr("All chats")
                name = self._name_of(conversations) if conversations else everything
                self._archives.choose_export(conversations, name)
            case intents.ImportConversations():
                self._archives.choose_import()
            case intents.SearchConversations(query):
                self._search(query)
            case intents.TrashConversations(conversations):
                text = tr("Moved to the trash: {name}", name=self._name_of(conversations))
                self._trash.move(conversations, text)
            case intents.ShowTrash():
                self._show_trash()
            case intents.RestoreConversations(conversations):
                self._trash.restore(conversations)
            case intents.PurgeConversations(conversations):
                self._trash.ask_to_purge(conversations, self._window)
            case intents.NewFolder(conversations):
                self._make_folder(conversations)
            case intents.MoveToFolder(conversations, folder):
                self._change(lambda store: store.folders.move(conversations, folder))
            case intents.FoldFolder(place, folded):
                self._store.remember(lambda store: store.folders.set_folded(place, folded))
            case intents.FolderIntent(folder):
                if (info := self._folder_infos.get(folder)) is not None:  # else it has just gone
                    self._handle_folder(intent, info)
            case _:
                raise NotImplementedError(intent)

    def _handle_folder(self, intent: intents.FolderIntent, folder: FolderInfo) -> None:
        match intent:
            case intents.RenameFolder(name=name):
                renamed = replace(folder, name=name)
                self._change(lambda store: store.folders.save(renamed))
            case intents.SetFolderSettings(as_shown=as_shown):
                self._set_folder_settings(folder, as_shown=as_shown)
            case intents.ShowFolderDocuments():
                self._chat_feature.show_folder_documents(folder)
            case intents.DeleteFolder():
                self._trash.delete_folder(folder)
            case _:
                raise NotImplementedError(intent)

    @newest_task
    async def _search(self, query: str) -> None:
        hits = await self._store.ask(lambda store: store.search(query))
        self._window.sidebar.show_hits(query, hits)

    @Slot(str)
    def _on_search_text(self, text: str) -> None:
        if not text:
            self._window.chat.clear_match()

    @task
    async def _show_trash(self) -> None:
        trashed = await self._store.ask(lambda store: store.conversations.infos(trashed=True))
        self._window.sidebar.show_trash(trashed)

    def _new_chat(self, chosen: int | None) -> None:
        """Begin a chat in a folder, else in the one that is current; the list shows it there."""
        sidebar = self._window.sidebar
        shown = self._infos.get(self._chat.conversation_id)
        chosen = chosen or sidebar.list.current_folder()
        chosen = chosen or (shown.folder_id if shown is not None else None)
        folder = self._folder_infos.get(chosen or 0)
        self._chat_feature.begin_chat(folder)
        sidebar.end_search()
        if folder is not None:
            sidebar.list.reveal_folder(folder.id)
        self._window.composer.setFocus()

    @task
    async def _set_folder_settings(self, folder: FolderInfo, *, as_shown: bool) -> None:
        settings = self._chat_feature.shown_settings() if as_shown else ConversationSettings()
        changed = replace(folder, settings=settings)
        if as_shown:
            text = N_("New chats in “{name}” use this chat's model and settings.")
        else:
            text = N_("New chats in “{name}” use the default settings.")
        await self._store.ask(lambda store: store.folders.save(changed))
        self.refresh()
        self._notify(Notice(tr(text, name=folder.name), Level.INFO))

    @task
    async def _change(self, change: StoreWork[None]) -> None:
        await self._store.ask(change)
        self.refresh()
        self._documents.refresh()  # the one shown may be in another folder

    @Slot(int, str)
    def _rename(self, conversation: int, title: str) -> None:
        self._change(lambda store: store.conversations.rename(conversation, title))

    @task
    async def refresh(self) -> None:
        conversations, folders = await self._store.ask(
            lambda store: (store.conversations.infos(), store.folders.infos())
        )
        self._infos = {info.id: info for info in conversations}
        self._folder_infos = {info.id: info for info in folders}
        self._window.sidebar.show_conversations(conversations, folders)
        self._window.chat.welcome.show_questions(len(conversations) < QUESTIONS_UNTIL)
        self._look()
        self._on_busy_changed()
        self._show_title()

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        new_in = self._chat.new_chat_folder if conversation_id is None else None
        self._window.sidebar.set_current(conversation_id, new_in)
        self._look()
        self._show_title()
        self._store.remember_value(LAST_CONVERSATION, conversation_id)

    @Slot()
    def _on_busy_changed(self) -> None:
        self._window.sidebar.list.set_answering(self._chat.answering, self._chat.answers.waiting)

    # ---- answers that were finished while nobody looked

    @Slot(object, list)
    def _on_saved(self, answer: ChatMessage, _branch: list[ChatMessage]) -> None:
        key, in_front = answer.conversation_id, QApplication.activeWindow() is not None
        if answer.state is MessageState.STOPPED or (in_front and key == self._chat.conversation_id):
            return
        self._set_unread(key, True)
        if not in_front:
            QApplication.alert(self._window)
            if OFFERED and self._preferences.system_notices:
                self._notices.show(key, tr("The answer is ready"), self._title_of(key))

    @Slot()
    def _look(self) -> None:
        """The conversation shown may be in front of the user's eyes now."""
        info = self._infos.get(self._chat.conversation_id)
        if info is not None and info.unread and QApplication.activeWindow() is not None:
            self._set_unread(info.id, False)
            self._notices.withdraw(info.id)

    @task
    async def _set_unread(self, key: int, unread: bool) -> None:
        await self._store.ask(
            lambda store: store.conversations.set_unread(key, unread) if store.writable else None
        )
        self.refresh()

    # ---- titles

    def _title_of(self, conversation_id: int | None) -> str:
        info = self._infos.get(conversation_id)
        return info.title if info is not None else ""

    def _name_of(self, conversation_ids: tuple[int, ...]) -> str:
        if len(conversation_ids) == 1:
            return self._title_of(conversation_ids[0])
        return trn("{n} chat", "{n} chats", len(conversation_ids))

    @task
    async def _make_folder(self, conversations: tuple[int, ...]) -> None:
        """Let the name of a new folder be typed, once the list has it."""
        folder_id = await self._store.ask(
            lambda store: store.folders.create(tr("New folder"), conversations)
        )
        self._window.sidebar.search.clear()
        self.refresh()
        await self._store.ask(lambda _: None)
        self._window.sidebar.list.reveal_folder(folder_id, edit=True)

    def _show_title(self) -> None:
        self._window.set_title(self._title_of(self._chat.conversation_id))

    @Slot(int)
    def _open_in_front(self, conversation: int) -> None:
        self._chat.open(conversation)
        self._window.raise_to_front()

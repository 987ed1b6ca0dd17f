"""Conversations that leave the list, to the trash and back or for good; deleted folders."""

from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.feature import ChatFeature
from r1desk.platform.tasks import Tasks, task
from r1desk.store import FolderInfo, Store
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import ask


class TrashPresenter(QObject):
    """Moves conversations into the trash and out of it, and deletes folders, with a way back."""

    changed = Signal()  # the list of conversations

    def __init__(self, store: StoreBridge, chat: ChatFeature) -> None:
        super().__init__()
        self._store, self._chat_feature = store, chat
        self._chat, self._history, self._documents = chat.controller, chat.history, chat.documents
        self.tasks = Tasks(self, self._chat.report_failure)

    @task
    async def move(self, ids: tuple[int, ...], text: str) -> None:
        """Move conversations to the trash; `text` says so. Undone, the first of them is shown."""
        for each in ids:
            self._chat.stop_conversation(each)
        await self._store.ask(lambda store: store.conversations.trash(*ids))

        async def undo() -> None:
            await self._store.ask(lambda store: store.conversations.restore(*ids))
            self.changed.emit()
            self._chat.open(ids[0])

        self._leave(ids)
        self.changed.emit()
        undone = trn("{n} chat restored", "{n} chats restored", len(ids))
        self._history.add(text, ids[0], undo, undone)

    def _leave(self, gone: tuple[int, ...]) -> None:
        if self._chat.conversation_id in gone:
            self._chat.new_chat()

    @task
    async def restore(self, ids: tuple[int, ...]) -> None:
        await self._store.ask(lambda store: store.conversations.restore(*ids))
        self.changed.emit()
        if self._chat.conversation_id in ids:
            self._chat.reopen()

    def ask_to_purge(self, ids: tuple[int, ...], parent: QWidget) -> None:
        """Delete conversations for good, once the user has confirmed it."""
        text = trn("Delete {n} chat for good?", "Delete {n} chats for good?", len(ids))
        role, purge = QMessageBox.ButtonRole.DestructiveRole, partial(self._purge, ids)
        ask(parent, text, tr("This cannot be undone."), (tr("Delete"), role, purge))

    @task
    async def _purge(self, ids: tuple[int, ...]) -> None:
        def purge(store: Store) -> set[str]:
            documents = store.attachments.used_documents()
            store.conversations.purge(ids)
            return documents

        documents = await self._store.ask(purge)
        self._leave(ids)
        self.changed.emit()
        self._history.forget(ids)
        self._documents.clean(documents)

    @task
    async def delete_folder(self, folder: FolderInfo) -> None:
        """Delete a folder; what is in it stays in the list."""
        if self._chat.new_chat_folder == folder.id:
            self._chat_feature.begin_chat()
        deleted = await self._store.ask(lambda store: store.folders.delete(folder))

        async def undo() -> None:
            await self._store.ask(lambda store: store.folders.restore(deleted))
            self.changed.emit()

        self.changed.emit()
        text = tr("The folder “{name}” was deleted.", name=folder.name)
        self._history.add(text, 0, undo, tr("The folder “{name}” is back.", name=folder.name))

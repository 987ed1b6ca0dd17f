"""Conversations that leave the list, to the trash and back or for good; deleted folders."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.feature import ChatFeature
from r1desk.platform.tasks import Tasks, task
from r1desk.store import Attachment, FolderInfo, Store, StoreWork
from r1desk.store.store_bridge import StoreBridge
from r1desk.widgets.bounded_dialog import ask

Removed = TypeVar("Removed")


class TrashPresenter(QObject):
    """Moves conversations into the trash and out of it, and deletes folders, with a way back."""

    changed = Signal()  # the list of conversations

    def __init__(self, store: StoreBridge, chat: ChatFeature) -> None:
        super().__init__()
        self._store, self._chat_feature = store, chat
        self._chat, self._history, self._documents = chat.controller, chat.history, chat.documents
        self.tasks = Tasks(self, self._chat.report_failure)

    def move(self, ids: tuple[int, ...], text: str) -> None:
        """Move conversations to the trash; undone, the first of them is shown."""
        self.remove(
            ids,
            text,
            lambda store: store.conversations.trash(*ids),
            lambda store, _: store.conversations.restore(*ids),
            shown=ids[0],
        )

    @task
    async def remove(
        self,
        ids: tuple[int, ...],
        text: str,
        remove: StoreWork[Removed],
        bring_back: Callable[[Store, Removed], None],
        *,
        shown: int = 0,
        undone: str = "",
    ) -> None:
        """Carry out what takes conversations out of the list; `text` says so, beside a way back.

        Then `undone` is said, and the conversation `shown` is opened, if there is one.
        """
        for each in ids:
            self._chat.stop_conversation(each)
        removed = await self._store.ask(remove)

        async def undo() -> None:
            await self._store.ask(bring_back, removed)
            self.changed.emit()
            if shown:
                self._chat.open(shown)

        self._leave(ids)
        self.changed.emit()
        undone = undone or trn("{n} chat restored", "{n} chats restored", len(ids))
        self._history.add(text, shown, undo, undone)

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

    def delete_folder(self, folder: FolderInfo) -> None:
        """Delete a folder; what is in it stays in the list."""

        def delete(store: Store) -> tuple[list[int], tuple[Attachment, ...]]:
            with store.transaction():
                documents = store.attachments.of_folder(folder.id)
                return store.folders.delete(folder.id), documents

        def bring_back(store: Store, deleted: tuple[list[int], tuple[Attachment, ...]]) -> None:
            inside, documents = deleted
            with store.transaction():
                store.folders.save(folder)
                store.attachments.add_to_folder(folder.id, *documents)
                store.folders.move(inside, folder.id)

        if self._chat.new_chat_folder == folder.id:
            self._chat_feature.begin_chat()
        text = tr("The folder “{name}” was deleted.", name=folder.name)
        back = tr("The folder “{name}” is back.", name=folder.name)
        self.remove((), text, delete, bring_back, undone=back)

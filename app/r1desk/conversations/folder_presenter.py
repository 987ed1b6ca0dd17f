"""Folders: what new chats in them begin with, and how one is deleted, with a way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.feature import ChatFeature
from r1desk.conversations.trash_presenter import TrashPresenter
from r1desk.features import Services
from r1desk.store import Attachment, ConversationSettings, FolderInfo, Store
from r1desk.widgets.notice_bar import Level, Notice


class FolderPresenter(QObject):
    """Changes folders in the store, and asks where that is more than a click."""

    def __init__(
        self,
        services: Services,
        chat: ChatFeature,
        trash: TrashPresenter,
        refresh: Callable[[], None],
        parent: QObject,
    ) -> None:
        """`refresh` reads the list of conversations anew."""
        super().__init__(parent)
        self._store, self._notify = services.store, services.notify
        self._chat, self._trash, self._refresh = chat, trash, refresh

    def set_settings(self, folder: FolderInfo, *, as_shown: bool) -> None:
        """Let new chats in a folder begin as the chat on the screen, or as everywhere else."""
        settings = self._chat.shown_settings() if as_shown else ConversationSettings()
        changed = replace(folder, settings=settings)
        if as_shown:
            text = N_("New chats in “{name}” begin with the model and the settings of this chat.")
        else:
            text = N_("New chats in “{name}” begin as everywhere else.")

        def saved(_: None) -> None:
            self._refresh()
            self._notify(Notice(tr(text, name=folder.name), Level.INFO))

        self._store.call(lambda store: store.folders.save(changed), saved)

    def ask_to_delete(self, folder: FolderInfo, inside: tuple[int, ...], parent: QWidget) -> None:
        """Delete a folder at once where it is empty; else ask what becomes of what is in it."""
        if not inside:
            self._delete(folder, ())
            return
        box = QMessageBox(QMessageBox.Icon.Question, tr("Delete the folder"), "", parent=parent)
        box.setText(tr("Delete the folder “{name}”?", name=folder.name))
        count = trn("{n} conversation is in it.", "{n} conversations are in it.", len(inside))
        box.setInformativeText(count)
        keep = box.addButton(tr("Keep them in the list"), QMessageBox.ButtonRole.AcceptRole)
        trash = box.addButton(tr("Move them to the trash"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        keep.clicked.connect(lambda: self._delete(folder, ()))
        trash.clicked.connect(lambda: self._delete(folder, inside))
        box.finished.connect(box.deleteLater)
        box.open()

    def _delete(self, folder: FolderInfo, to_trash: tuple[int, ...]) -> None:
        def delete(store: Store) -> tuple[list[int], tuple[Attachment, ...]]:
            with store.transaction():
                store.conversations.trash(*to_trash)
                documents = store.attachments.of_folder(folder.id)
                return store.folders.delete(folder.id), documents

        def bring_back(store: Store, deleted: tuple[list[int], tuple[Attachment, ...]]) -> None:
            inside, documents = deleted
            with store.transaction():
                store.folders.save(folder)
                store.attachments.add_to_folder(folder.id, *documents)
                store.folders.move(inside, folder.id)
                store.conversations.restore(*to_trash)

        if self._chat.controller.new_chat_folder == folder.id:
            self._chat.begin_chat()
        text = tr("The folder “{name}” was deleted.", name=folder.name)
        self._trash.remove(to_trash, text, delete, bring_back)

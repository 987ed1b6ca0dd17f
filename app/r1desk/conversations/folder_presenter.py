"""Folders: made, moved into, deleted with a way back, and their settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr, trn
from r1desk.chat.feature import ChatFeature
from r1desk.conversations.trash_presenter import TrashPresenter
from r1desk.conversations.widgets.folder_dialog import FolderDialog
from r1desk.features import Services
from r1desk.store import FolderInfo, Store


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
        self._store, self._preferences = services.store, services.preferences
        self._chat, self._trash, self._refresh = chat, trash, refresh
        self.folders: Sequence[FolderInfo] = ()  # as the list shows them

    def folder(self, folder_id: int | None) -> FolderInfo | None:
        """A folder that the list shows."""
        return next((each for each in self.folders if each.id == folder_id), None)

    def make(self, ids: tuple[int, ...], then: Callable[[int], None]) -> None:
        """Make a folder with these conversations in it; `then` gets its id."""

        def work(store: Store) -> int:
            with store.transaction():
                key = store.folders.create(tr("New folder"))
                store.folders.move(ids, key)
            return key

        self._store.call(work, then)

    def change(self, change: Callable[[Store], None]) -> None:
        """Change folders, or what is in them."""
        self._store.call(change, lambda _: self._refresh())

    def rename(self, folder_id: int, name: str) -> None:
        """Give a folder another name."""
        if (folder := self.folder(folder_id)) is not None:
            self.change(lambda store: store.folders.save(replace(folder, name=name)))

    def edit(self, folder_id: int, parent: QWidget) -> None:
        """Show name and settings of a folder, to be changed."""
        if (folder := self.folder(folder_id)) is None:
            return
        dialog = FolderDialog(parent, folder, self._preferences)

        def accepted() -> None:
            changed = dialog.folder()
            self.change(lambda store: store.folders.save(changed))
            if self._chat.controller.new_chat_folder == folder_id:
                self._chat.begin_chat(changed)

        dialog.accepted.connect(accepted)
        dialog.open()

    def ask_to_delete(self, folder_id: int, inside: tuple[int, ...], parent: QWidget) -> None:
        """Delete a folder at once where it is empty; else ask what becomes of what is in it."""
        if (folder := self.folder(folder_id)) is None:
            return
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
        for each in to_trash:
            self._chat.controller.stop_conversation(each)

        def work(store: Store) -> list[int]:
            with store.transaction():
                store.conversations.trash(*to_trash)
                return store.folders.delete(folder.id)

        def deleted(inside: list[int]) -> None:
            if self._chat.controller.new_chat_folder == folder.id:
                self._chat.begin_chat()
            self._trash.leave(to_trash)
            text = tr("The folder “{name}” was deleted.", name=folder.name)
            self._chat.history.add(text, 0, partial(self._bring_back, folder, inside, to_trash))

        self._store.call(work, deleted)

    def _bring_back(
        self,
        folder: FolderInfo,
        inside: list[int],
        trashed: tuple[int, ...],
        refused: Callable[[Exception], None],
    ) -> None:
        def work(store: Store) -> None:
            with store.transaction():
                store.folders.save(folder)
                store.folders.move(inside, folder.id)
                store.conversations.restore(*trashed)

        self._store.call(work, lambda _: self._refresh(), refused)

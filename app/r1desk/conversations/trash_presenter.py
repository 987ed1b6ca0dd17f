"""The trash: conversations are moved there, looked at, restored and deleted for good."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

from r1desk.chat.feature import ChatFeature
from r1desk.conversations.widgets.trash_dialog import TrashDialog
from r1desk.store import ConversationInfo, Store
from r1desk.store.store_bridge import StoreBridge


class TrashPresenter(QObject):
    """Moves conversations into the trash and out of it, and shows what is in it."""

    def __init__(
        self, store: StoreBridge, chat: ChatFeature, refresh: Callable[[], None], parent: QObject
    ) -> None:
        """`refresh` reads the list of conversations anew."""
        super().__init__(parent)
        self._store, self._refresh = store, refresh
        self._chat, self._history, self._prompts = chat.controller, chat.history, chat.prompts

    def move(self, ids: tuple[int, ...], text: str) -> None:
        """Move conversations to the trash; `text` says so, beside a way to undo it."""
        for each in ids:
            self._chat.stop_conversation(each)

        def trashed(_: None) -> None:
            self.leave(ids)
            self._history.add(text, ids[0], partial(self._restore, ids))

        self._store.call(lambda store: store.conversations.trash(*ids), trashed)

    def leave(self, ids: tuple[int, ...]) -> None:
        """Show the list without these, and a new chat where one of them was shown."""
        if self._chat.conversation_id in ids:
            self._chat.new_chat()
        self._refresh()

    def _restore(self, ids: tuple[int, ...], refused: Callable[[Exception], None]) -> None:
        """Undo the move to the trash and show the first conversation."""

        def restored(_: None) -> None:
            self._refresh()
            self._chat.open(ids[0])

        self._store.call(lambda store: store.conversations.restore(*ids), restored, refused)

    def show_dialog(self, parent: QWidget) -> None:
        """Show what is in the trash."""
        dialog = TrashDialog(parent)

        def listed(infos: list[ConversationInfo]) -> None:
            if isValid(dialog):  # it may be closed by now
                dialog.show_conversations(infos)

        def show() -> None:
            self._store.call(lambda store: store.conversations.infos(trashed=True), listed)
            self._refresh()

        def restore(ids: list[int]) -> None:
            def restored(_: None) -> None:
                show()
                if self._chat.conversation_id in ids:
                    self._chat.reopen()

            self._store.call(lambda store: store.conversations.restore(*ids), restored)

        def purge(ids: list[int]) -> None:
            def work(store: Store) -> None:
                store.conversations.purge(ids)

            def purged(_: None) -> None:
                if self._chat.conversation_id in ids:
                    self._chat.new_chat()
                show()
                self._history.forget(ids)
                self._prompts.retain_present()

            self._store.call(work, purged)

        dialog.opened.connect(self._chat.open)
        dialog.restore_requested.connect(restore)
        dialog.purge_requested.connect(purge)
        dialog.finished.connect(dialog.deleteLater)
        show()
        dialog.open()

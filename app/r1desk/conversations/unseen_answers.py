"""Answers that were finished while nobody looked: marked in the list, and announced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QApplication, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.features import Services
from r1desk.platform.system_notice import OFFERED, SystemNotices
from r1desk.store import ChatMessage, ConversationInfo, MessageState


class UnseenAnswers(QObject):
    """Sets and clears the mark of unread conversations, which is stored. Main thread."""

    def __init__(
        self,
        services: Services,
        chat: ChatController,
        title_of: Callable[[int], str],
        refresh: Callable[[], None],
    ) -> None:
        super().__init__()
        self._store, self._chat, self._preferences = services.store, chat, services.preferences
        self._title_of, self._refresh = title_of, refresh
        self._unread: set[int] = set()
        self.window: QWidget  # set by the feature, before anything is shown
        self.notices = SystemNotices(self)
        chat.pending_writes.saved.connect(self._on_saved)
        chat.branch_shown.connect(self._on_looked)
        QApplication.instance().focusWindowChanged.connect(self._on_looked)

    @Slot(object, list)
    def _on_saved(self, answer: ChatMessage, _branch: list[ChatMessage]) -> None:
        key, in_front = answer.conversation_id, QApplication.activeWindow() is not None
        if answer.state is MessageState.STOPPED or (in_front and key == self._chat.conversation_id):
            return
        self._set_unread(key, True)
        if not in_front:
            QApplication.alert(self.window)
            if OFFERED and self._preferences.system_notices:
                self.notices.show(str(key), tr("The answer is ready"), self._title_of(key))

    @Slot()
    def _on_looked(self) -> None:
        """The conversation shown is in front of the user's eyes now."""
        key = self._chat.conversation_id
        if key in self._unread and QApplication.activeWindow() is not None:
            self._set_unread(key, False)
            self.notices.withdraw(str(key))

    def close(self) -> None:
        """Look no more: the store closes."""
        QApplication.instance().focusWindowChanged.disconnect(self._on_looked)

    def show_list(self, conversations: Sequence[ConversationInfo]) -> None:
        """Take up which conversations of the list are unread."""
        self._unread = {info.id for info in conversations if info.unread}
        self._on_looked()

    def _set_unread(self, key: int, unread: bool) -> None:
        self._unread = self._unread | {key} if unread else self._unread - {key}
        self._store.call(
            lambda store: store.conversations.set_unread(key, unread) if store.writable else None,
            lambda _: self._refresh(),
        )

"""Answers that were finished while nobody looked: marked in the list, and announced."""

from collections.abc import Mapping

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QApplication, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.features import Services
from r1desk.platform.desktop import OFFERED, SystemNotices
from r1desk.platform.qt_application import application
from r1desk.platform.tasks import Tasks, task
from r1desk.store import ChatMessage, ConversationInfo, MessageState


class UnseenAnswers(QObject):
    """Sets and clears the mark of unread conversations, which is stored. Main thread."""

    changed = Signal()  # a mark of the list

    def __init__(self, services: Services, chat: ChatController) -> None:
        super().__init__()
        self._store, self._chat, self._preferences = services.store, chat, services.preferences
        self.infos: Mapping[int | None, ConversationInfo] = {}  # the list, by conversation
        self.tasks = Tasks(self, chat.report_failure)
        self.window: QWidget  # set by the feature, before anything is shown
        self.notices = SystemNotices(self)  # each of a conversation
        chat.pending_writes.saved.connect(self._on_saved)
        chat.branch_shown.connect(self.look)
        application().focusWindowChanged.connect(self.look)

    @Slot(object, list)
    def _on_saved(self, answer: ChatMessage, _branch: list[ChatMessage]) -> None:
        key, in_front = answer.conversation_id, QApplication.activeWindow() is not None
        if answer.state is MessageState.STOPPED or (in_front and key == self._chat.conversation_id):
            return
        self._set_unread(key, True)
        if not in_front:
            QApplication.alert(self.window)
            if OFFERED and self._preferences.system_notices:
                info = self.infos.get(key)
                self.notices.show(key, tr("The answer is ready"), info.title if info else "")

    @Slot()
    def look(self) -> None:
        """The conversation shown may be in front of the user's eyes now."""
        info = self.infos.get(self._chat.conversation_id)
        if info is not None and info.unread and QApplication.activeWindow() is not None:
            self._set_unread(info.id, False)
            self.notices.withdraw(info.id)

    def close(self) -> None:
        """Look no more: the store closes."""
        application().focusWindowChanged.disconnect(self.look)

    @task
    async def _set_unread(self, key: int, unread: bool) -> None:
        await self._store.ask(
            lambda store: store.conversations.set_unread(key, unread) if store.writable else None
        )
        self.changed.emit()

"""Connects the ways in which a conversation goes on with the widgets that offer them."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction, QKeySequence

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.context.summary_controller import SummaryController
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.features import Presenter


class ContinuationPresenter(Presenter):
    """Answer now, continue, and what to do in a full context."""

    def __init__(
        self,
        window: ChatWindow,
        *,
        chat: ChatController,
        overflow: ContextOverflow,
        summaries: SummaryController,
    ) -> None:
        super().__init__(window)
        self._chat, self._composer = chat, window.composer
        self._answer_now = QAction(tr("Answer now"), window)
        self._answer_now.setShortcuts([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        self._answer_now.triggered.connect(chat.answer_now)
        self._answer_now.setEnabled(False)
        window.addAction(self._answer_now)
        overflow.options_changed.connect(window.chat.show_context_options)
        summaries.question_returned.connect(self._on_question_returned)
        chat.busy_changed.connect(self._on_busy_changed)
        self._on_busy_changed()
        window.chat.show_context_options(overflow.options)

    @Slot()
    def _on_busy_changed(self) -> None:
        writes_here = self._chat.answer is not None and self._chat.busy_here
        self._answer_now.setEnabled(writes_here)

    @Slot(str)
    def _on_question_returned(self, text: str) -> None:
        self._composer.restore_unsent(text)

"""Connects the ways in which a conversation goes on with the widgets that offer them."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.context_overflow import ContextOverflow
from r1desk.chat.controller import ChatController
from r1desk.chat.summary_controller import SummaryController
from r1desk.chat.widgets.composer import Composer
from r1desk.chat.widgets.view import ChatView


class ContinuationPresenter(QObject):
    """Answer now, continue, and what to do in a full context."""

    def __init__(
        self,
        window: QWidget,
        view: ChatView,
        composer: Composer,
        *,
        chat: ChatController,
        overflow: ContextOverflow,
        summaries: SummaryController,
    ) -> None:
        super().__init__(window)
        self._chat, self._composer = chat, composer
        self._answer_now = QAction(tr("Answer now"), window)
        self._answer_now.setShortcuts([QKeySequence("Ctrl+Return"), QKeySequence("Ctrl+Enter")])
        self._answer_now.triggered.connect(chat.answer_now)
        self._answer_now.setEnabled(False)
        window.addAction(self._answer_now)
        overflow.options_changed.connect(view.show_context_options)
        summaries.question_returned.connect(self._on_question_returned)
        chat.busy_changed.connect(self._on_busy_changed)
        self._on_busy_changed()
        view.show_context_options(overflow.options)

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()

    @Slot()
    def _on_busy_changed(self) -> None:
        writes_here = self._chat.answer is not None and self._chat.busy_here
        self._answer_now.setEnabled(writes_here)

    @Slot(str)
    def _on_question_returned(self, text: str) -> None:
        self._composer.restore_unsent(text)

"""Reports what became of changes of messages, and offers to undo them."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction, QKeySequence

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.message_actions import MessageActions
from r1desk.chat.answers.undo_history import UndoableChange, UndoHistory
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.features import Presenter
from r1desk.widgets.notice_bar import Level, Notice


class MessageActionsPresenter(Presenter):
    """One for each window."""

    def __init__(
        self,
        window: ChatWindow,
        actions: MessageActions,
        history: UndoHistory,
    ) -> None:
        super().__init__(window)
        self._composer, self._notices = window.composer, window.notices
        self._history = history
        actions.failed.connect(self._on_failed)
        history.added.connect(self._on_added)
        history.undone.connect(self._on_undone)
        history.refused.connect(self._on_refused)
        self._undo = QAction(tr("Undo the last deletion or change"), window)
        self._undo.setShortcuts(
            [
                QKeySequence(QKeySequence.StandardKey.Undo),  # where no text box has its own
                QKeySequence("Ctrl+Alt+Z"),
            ]
        )
        self._undo.triggered.connect(history.undo)
        window.addAction(self._undo)

    @Slot(object)
    def _on_added(self, change: UndoableChange) -> None:
        self._notices.show_notice(Notice(change.text, Level.INFO, tr("Undo"), self._history.undo))
        self._composer.setFocus()

    @Slot(object)
    def _on_undone(self, change: UndoableChange) -> None:
        """Name the change: its own notice may have gone long ago."""
        self._notices.withdraw(change.text)
        self._notices.show_notice(Notice(tr("Undone: {change}", change=change.text), Level.INFO))

    @Slot(object, object)
    def _on_refused(self, change: UndoableChange, report: ErrorReport) -> None:
        """Take the word back, and offer to try again."""
        self._notices.withdraw(tr("Undone: {change}", change=change.text))
        text = f"{tr('Not undone: {change}', change=change.text)}\n{report.text()}"
        self._notices.show_notice(Notice(text, Level.ERROR, tr("Undo"), self._history.undo))

    @Slot(ErrorReport)
    def _on_failed(self, report: ErrorReport) -> None:
        self._notices.show_notice(Notice(report.text(), Level.ERROR))

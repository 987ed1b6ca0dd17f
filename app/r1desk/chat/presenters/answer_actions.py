"""The entries of the window's menu about the last answer, which have shortcuts by that."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.messages.answer_boxes import can_continue
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.markdown_blocks import last_code
from r1desk.chat.values import intents
from r1desk.features import Presenter
from r1desk.store import ChatMessage
from r1desk.widgets.notice_bar import Level, Notice


class AnswerActions(Presenter):
    """Another answer, go on, another version, copy: enabled where they would do something."""

    def __init__(self, window: ChatWindow, chat: ChatController) -> None:
        super().__init__(window)
        self._window, self._chat = window, chat
        add = window.answer_menu.addAction
        self._again = add(tr("Another answer"), "Ctrl+R", self._on_again)
        self._go_on = add(tr("Continue the answer"), "Ctrl+Shift+Return", self._on_go_on)
        self._before = add(tr("Version before"), "Alt+Left", partial(self._select, -1))
        self._next = add(tr("Next version"), "Alt+Right", partial(self._select, 1))
        self._copy = add(tr("Copy the last answer"), "Ctrl+Shift+C", self._on_copy)
        self._copy_code = add(tr("Copy the last code block"), "Ctrl+Shift+X", self._on_copy_code)
        # After the presenter that shows them.
        for changed in (chat.branch_shown, chat.answer_finished, chat.busy_changed):
            changed.connect(self._show_possible)
        self._show_possible()

    @property
    def _last(self) -> ChatMessage | None:
        """The last message, if it is an ended answer."""
        last = next(reversed(self._window.chat.messages), None)
        ended = last is not None and last.is_answer and last.state not in ("streaming", "queued")
        return last if ended else None

    def _versions(self) -> ChatMessage | None:
        """The last message that has several versions."""
        several = (m for m in reversed(self._window.chat.messages) if m.sibling_count > 1)
        return None if self._chat.busy_here else next(several, None)

    @Slot()
    def _show_possible(self) -> None:
        last, versions = self._last, self._versions()
        self._again.setEnabled(last is not None)
        self._go_on.setEnabled(last is not None and can_continue(last))
        place, count = (versions.sibling_index, versions.sibling_count) if versions else (0, 1)
        self._before.setEnabled(place > 0)
        self._next.setEnabled(place < count - 1)
        self._copy.setEnabled(last is not None and bool(last.content))
        self._copy_code.setEnabled(self._copy.isEnabled())

    @Slot()
    def _on_again(self) -> None:
        if (last := self._last) is not None:
            self._window.chat.requested.emit(intents.Regenerate(last.id))

    @Slot()
    def _on_go_on(self) -> None:
        if (last := self._last) is not None:
            self._window.chat.requested.emit(intents.ContinueAnswer(last.id))

    def _select(self, delta: int) -> None:
        if (versions := self._versions()) is not None:
            self._window.chat.requested.emit(intents.SelectVersion(versions.id, delta))

    @Slot()
    def _on_copy(self) -> None:
        if (last := self._last) is not None:
            QGuiApplication.clipboard().setText(fit.clipped(last.content))
            self._notify(tr("The last answer was copied."))

    @Slot()
    def _on_copy_code(self) -> None:
        if (last := self._last) is None:
            return
        if code := last_code(last.content):
            QGuiApplication.clipboard().setText(code)
            self._notify(tr("The last code block was copied."))
        else:
            self._notify(tr("The last answer has no code block."))

    def _notify(self, text: str) -> None:
        self._window.notices.show_notice(Notice(text, Level.INFO))

"""The entries of the window's menu about the last answer, which have shortcuts by that."""

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.messages.answer_boxes import can_continue
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.markdown_blocks import last_code
from r1desk.chat.values.intents import ContinueAnswer, Regenerate, SelectVersion
from r1desk.features import Presenter
from r1desk.store import ChatMessage
from r1desk.widgets.notice_bar import Level, Notice


class AnswerActions(Presenter):
    """Another answer, go on, another version, copy: enabled where they would do something."""

    def __init__(self, window: ChatWindow, chat: ChatController) -> None:
        super().__init__(window)
        self._window, self._chat = window, chat
        self._last: ChatMessage | None = None  # if it is an ended answer
        self._several: ChatMessage | None = None  # the last message that has several versions
        add = window.answer_menu.addAction
        self._again = add(tr("Regenerate the answer"), "Ctrl+R", partial(self._ask, Regenerate))
        more = partial(self._ask, ContinueAnswer)
        self._go_on = add(tr("Continue the answer"), "Ctrl+Shift+Return", more)
        self._before = add(tr("Previous version"), "Alt+Left", partial(self._ask_version, -1))
        self._next = add(tr("Next version"), "Alt+Right", partial(self._ask_version, 1))
        self._copy = add(tr("Copy the last answer"), "Ctrl+Shift+C", self._on_copy)
        self._copy_code = add(tr("Copy the last code block"), "Ctrl+Shift+X", self._on_copy_code)
        # After the presenter that shows them.
        for changed in (chat.branch_shown, chat.answer_finished, chat.busy_changed):
            changed.connect(self._show_possible)
        self._show_possible()

    @Slot()
    def _show_possible(self) -> None:
        messages = self._window.chat.messages
        last = messages[-1] if messages else None
        ended = last is not None and last.is_answer and last.state not in ("streaming", "queued")
        self._last = last = last if ended else None
        several = (m for m in reversed(messages) if m.sibling_count > 1)
        self._several = shown = None if self._chat.busy_here else next(several, None)
        self._again.setEnabled(ended)
        self._go_on.setEnabled(last is not None and can_continue(last))
        self._before.setEnabled(shown is not None and shown.sibling_index > 0)
        self._next.setEnabled(shown is not None and shown.sibling_index < shown.sibling_count - 1)
        for copy in (self._copy, self._copy_code):
            copy.setEnabled(last is not None and bool(last.content))

    def _ask(self, intent: type[Regenerate | ContinueAnswer]) -> None:
        if self._last is not None:
            self._window.chat.requested.emit(intent(self._last.id))

    def _ask_version(self, delta: int) -> None:
        if self._several is not None:
            self._window.chat.requested.emit(SelectVersion(self._several.id, delta))

    @property
    def _text(self) -> str:
        return self._last.content if self._last is not None else ""

    @Slot()
    def _on_copy(self) -> None:
        self._take(self._text, tr("The last answer was copied."))

    @Slot()
    def _on_copy_code(self) -> None:
        code = last_code(self._text)
        missing = tr("The last answer has no code block.")
        self._take(code, tr("The last code block was copied.") if code else missing)

    def _take(self, text: str, notice: str) -> None:
        if text:
            QGuiApplication.clipboard().setText(fit.clipped(text))
        self._window.notices.show_notice(Notice(notice, Level.INFO))

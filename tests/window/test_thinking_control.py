"""Control of the thinking: its budget, "answer now", and continued thinking."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction
from pytestqt.qtbot import QtBot

from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.widgets.answer_view import AnswerView
from r1desk.chat.widgets.thinking import ThinkingBox
from r1desk.chat.widgets.thinking_button import ThinkingButton
from r1desk.shell.session import Session
from window.mouse_and_keys import click, press
from window.session_fixture import ask, running_session, wait_answered, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]
# The starter does not think by itself: this template opens its thinking, as R1's does.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n<think>\n' }}"
)


def thinker(stored: prefs.Preferences) -> None:
    """Nearly random tokens, among which neither an end nor a closing tag comes up."""
    stored.chat_templates = {str(starter_model()): THINKING}
    stored.load = stored.load.model_copy(update={"context_length": 2048})
    stored.sampling = SamplingSettings(max_tokens=12, seed=1, temperature=5.0, top_p=1.0)


def last_view(session: Session) -> AnswerView:
    view = session.window.chat.view(session.chat.shown_branch[-1].id)
    assert isinstance(view, AnswerView)
    return view


def wait_thinking(qtbot: QtBot, session: Session, least: int = 1) -> ThinkingBox:
    """Until so many characters of the thinking are drawn, and its button with them."""

    def thinks() -> bool:
        box = last_view(session).thinking
        return box is not None and len(box.text) >= least and box.answer_now.isVisible()

    qtbot.waitUntil(lambda: session.chat.answer is not None)
    qtbot.waitUntil(thinks)
    box = last_view(session).thinking
    assert box is not None
    return box


def wait_ended(qtbot: QtBot, session: Session) -> None:
    qtbot.waitUntil(
        lambda: not session.chat.busy and session.chat.shown_branch[-1].state != "streaming",
    )


def test_ctrl_enter_ends_the_thinking_and_the_answer_follows(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, thinker) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Go.")
        wait_thinking(qtbot, session)
        press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        wait_ended(qtbot, session)
        answer = session.chat.shown_branch[-1]
        assert answer.thinking
        assert answer.content
        box = last_view(session).thinking
        assert box is not None
        assert box.end_note() == "Ended by “Answer now”."
        assert not box.answer_now.isVisible()


class ClosingOnScreen(QObject):
    """When a box of thinking was first painted with the reason why it ended; 0 before that."""

    def __init__(self, box: ThinkingBox) -> None:
        super().__init__(box)
        self.painted_at = 0.0
        self._box = box
        box.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self.painted_at and self._box.end_note():
            self.painted_at = time.perf_counter()
        return False


@pytest.mark.quiet
@pytest.mark.parametrize("by", ["key", "button"])
def test_answer_now_closes_the_thought_on_the_screen_within_300_ms(
    qtbot: QtBot, own_profile: Path, by: str
) -> None:
    taken_ms = []
    with running_session(qtbot, own_profile, thinker) as session:
        wait_ready(qtbot, session)
        for least in (1, 40, 200, 400, 600):
            ask(qtbot, session, "Go.")
            box = wait_thinking(qtbot, session, least)
            closing = ClosingOnScreen(box)
            began = time.perf_counter()
            if by == "key":
                press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
            else:
                click(box.answer_now)
            qtbot.waitUntil(lambda c=closing: c.painted_at > 0)
            taken_ms.append((closing.painted_at - began) * 1000)
            wait_ended(qtbot, session)
    print(f"answer now by {by}, ms to the closed thought on the screen:", *map(round, taken_ms))
    assert statistics.median(taken_ms) < 300


def test_a_stopped_thought_goes_on_and_is_answered(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, thinker) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Go.")
        wait_thinking(qtbot, session)
        press(Qt.Key.Key_Escape)
        wait_ended(qtbot, session)
        begun = session.chat.shown_branch[-1]
        row = last_view(session).continue_row
        assert row is not None
        assert not begun.content
        assert [button.text() for button in row.buttons] == ["Answer now", "Go on thinking"]
        click(row.buttons[1])
        wait_thinking(qtbot, session, len(begun.thinking) + 1)
        press(Qt.Key.Key_Escape)
        wait_ended(qtbot, session)
        longer = session.chat.shown_branch[-1]
        assert longer.thinking.startswith(begun.thinking)
        assert len(longer.thinking) > len(begun.thinking)
        row = last_view(session).continue_row
        assert row is not None
        click(row.buttons[0])
        wait_answered(qtbot, session)
        answered = session.chat.shown_branch[-1]
        assert answered.thinking == longer.thinking
        assert answered.content
        view = last_view(session)
        assert view.thinking is not None
        assert view.thinking.end_note() == "Ended by “Answer now”."
        assert view.continue_row is not None  # twelve tokens: it was cut


def for_new_chats(button: ThinkingButton) -> QAction:
    """The entry of the button's menu that makes the budget the default."""
    button.menu().aboutToShow.emit()
    return button.menu().actions()[-1]


def test_a_budget_of_the_conversation_ends_the_thinking(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, thinker) as session:
        wait_ready(qtbot, session)
        button = session.window.composer_footer.thinking
        assert button.isVisible()
        assert button.text() == "Thinking: No limit"
        button.budget_chosen.emit(20)
        assert button.text() == "Thinking: 20 tokens"
        assert session.preferences.sampling.thinking_budget == 20  # of new conversations
        ask(qtbot, session, "Go.")
        wait_answered(qtbot, session)
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        assert stats.thinking_tokens == 20
        box = last_view(session).thinking
        assert box is not None
        assert "budget" in box.end_note()
        button.budget_chosen.emit(0)  # of this conversation alone
        assert session.preferences.sampling.thinking_budget == 20
        assert for_new_chats(button).text() == "“Off” for new chats too"
        for_new_chats(button).trigger()
        assert session.preferences.sampling.thinking_budget == 0
        assert not for_new_chats(button).isEnabled()
        ask(qtbot, session, "Again.")
        wait_answered(qtbot, session)
        assert not session.chat.shown_branch[-1].thinking
        assert session.chat.shown_branch[-1].content

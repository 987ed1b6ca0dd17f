"""Control of the thinking: its budget, "answer now", and continued thinking."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from r1desk.chat.messages.thinking import ThinkingBox
from r1desk.shell.session import Session
from support.engine_script import EngineScript, says, thinks_on
from window.mouse_and_keys import press
from window.session_fixture import ask, last_view, ready_session, wait_answered


@pytest.fixture
def engine(engine: EngineScript) -> EngineScript:
    """A model that thinks until it is told to answer."""
    engine.knows(reasons=True)
    engine.answers(thinks_on(), says("Two."))
    return engine


def wait_thinking(qtbot: QtBot, session: Session) -> ThinkingBox:
    """Until its button is drawn."""
    qtbot.waitUntil(lambda: session.chat.answer is not None)
    qtbot.waitUntil(
        lambda: (box := last_view(session).thinking) is not None and box.answer_now.isVisible()
    )
    box = last_view(session).thinking
    assert box is not None
    return box


def test_ctrl_enter_ends_the_thinking_and_the_answer_follows(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        ask(qtbot, session, "How many?")
        box = wait_thinking(qtbot, session)
        press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        wait_answered(qtbot, session)
        answer = session.chat.shown_branch[-1]
        assert answer.thinking
        assert answer.content == "Two."
        assert box.end_note() == "Ended by “Answer now”."
        assert not box.answer_now.isVisible()


def test_a_budget_of_the_conversation_ends_the_thinking(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        button = session.window.composer_footer.thinking
        assert button.isVisible()
        assert button.text() == "Thinking: No limit"
        button.budget_chosen.emit(20)
        assert button.text() == "Thinking: 20 tokens"
        assert session.preferences.sampling.thinking_budget == 20  # of new conversations
        ask(qtbot, session, "How many?")
        wait_answered(qtbot, session)
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        assert stats.thinking_tokens == 20
        box = last_view(session).thinking
        assert box is not None
        assert "budget" in box.end_note()
        button.budget_chosen.emit(0)  # of this conversation alone
        assert session.preferences.sampling.thinking_budget == 20
        button.menu().aboutToShow.emit()
        default = button.menu().actions()[-1]
        assert default.text() == "“Off” for new chats too"
        default.trigger()
        assert session.preferences.sampling.thinking_budget == 0
        button.menu().aboutToShow.emit()
        assert not button.menu().actions()[-1].isEnabled()
        ask(qtbot, session, "And now?")
        wait_answered(qtbot, session)
        assert not session.chat.shown_branch[-1].thinking
        assert session.chat.shown_branch[-1].content

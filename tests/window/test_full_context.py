"""Limits of an answer in the window: the full context and its card, the budget of the thinking."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from r1desk.chat.messages.answer_boxes import AnswerBox
from r1desk.chat.messages.user_view import UserView
from r1desk.shell.session import Session
from support.engine_script import EngineScript, says, thinks_on
from window.mouse_and_keys import click, press
from window.session_fixture import (
    ask,
    ask_and_wait,
    last_view,
    ready_session,
    running_session,
    small_context,
    wait_answered,
    wait_ready,
    wait_thinking,
)
from window.stored_conversations import store_conversation

LONG = " ".join(f"The {n}th sheep jumps over the fence." for n in range(33))
TURNS = ("Count sheep.", LONG, "Count more sheep.", LONG)


def last_card(qtbot: QtBot, session: Session) -> AnswerBox:
    """The card below the last answer, once it has its ways."""

    def card() -> AnswerBox | None:
        view = last_view(session) if session.chat.shown_branch else None
        return view.ways if view is not None else None

    qtbot.waitUntil(lambda: (found := card()) is not None and len(found.buttons) >= 3)
    found = card()
    assert found is not None
    return found


def wait_completed(qtbot: QtBot, session: Session) -> None:
    def completed() -> bool:
        return session.chat.shown_branch[-1].state == "complete" and not session.chat.busy

    qtbot.waitUntil(completed)


def test_the_oldest_messages_are_left_out_and_a_line_shows_it(qtbot, own_profile):
    store_conversation(own_profile, *TURNS)
    with ready_session(qtbot, own_profile, small_context) as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == len(TURNS))
        ask_and_wait(qtbot, session, "How many were there?")
        last_card(qtbot, session)
    with running_session(qtbot, own_profile, small_context) as session:  # it is there again
        card = last_card(qtbot, session)
        assert all(button.accessibleDescription() for button in card.buttons)
        click(card.buttons[1])
        wait_completed(qtbot, session)
        branch = session.chat.shown_branch
        assert [m.content for m in branch[:4]] == list(TURNS)  # nothing is deleted
        begins = next(m for m in branch if m.memory_start)
        assert begins.id != branch[0].id
        line = session.window.chat.view(begins.id)
        assert isinstance(line, UserView)
        assert line.memory_line is not None
        click(line.memory_line.buttons[2])  # read all of it
        qtbot.waitUntil(lambda: not any(m.memory_start for m in session.chat.shown_branch))


def wait_context(qtbot: QtBot, session: Session, tokens: str) -> None:
    """Wait until the row in the box and the panel show this number."""
    bar, meter = session.window.composer.size_button, session.window.panel.context
    qtbot.waitUntil(lambda: (bar.text().strip() or "0").partition(" of ")[0] == tokens)
    assert meter.text.text().startswith(f"{tokens} of ")


def test_the_context_is_that_of_the_chat_on_the_screen(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile) as session:
        ask_and_wait(qtbot, session, "Name a tree.")
        bar = session.window.composer.size_button
        qtbot.waitUntil(lambda: bar.text()[:1] in set("123456789"))  # counted, not estimated
        full = bar.text().partition(" of ")[0]
        wait_context(qtbot, session, full)
        conversation = session.chat.conversation_id

        session.window.sidebar.new_button.click()
        wait_context(qtbot, session, "0")
        session.chat.open(conversation)
        wait_context(qtbot, session, full)

    with running_session(qtbot, own_profile) as session:  # after a restart
        wait_ready(qtbot, session)
        wait_context(qtbot, session, full)


@pytest.fixture
def thinker(engine: EngineScript) -> EngineScript:
    """A model that thinks until it is told to answer."""
    engine.knows(reasons=True)
    engine.answers(thinks_on(), says("Two."))
    return engine


@pytest.mark.usefixtures("thinker")
def test_ctrl_enter_ends_the_thinking_and_the_answer_follows(qtbot: QtBot, ready: Session) -> None:
    ask(qtbot, ready, "How many?")
    box = wait_thinking(qtbot, ready)
    press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    wait_answered(qtbot, ready)
    answer = ready.chat.shown_branch[-1]
    assert answer.thinking
    assert answer.content == "Two."
    assert box.end_note.text() == "Ended by “Answer now”."
    assert not box.answer_now.isVisible()


@pytest.mark.usefixtures("thinker")
def test_a_budget_of_the_conversation_ends_the_thinking(qtbot: QtBot, ready: Session) -> None:
    button = ready.window.composer.thinking
    assert button.isVisible()
    assert button.text() == "Thinking: No limit"
    button.budget_chosen.emit(20)
    assert button.text() == "Thinking: 20 tokens"
    assert ready.preferences.sampling.thinking_budget is None  # of other new conversations
    ask_and_wait(qtbot, ready, "How many?")
    stats = ready.chat.shown_branch[-1].stats
    assert stats is not None
    assert stats.thinking_tokens == 20
    box = last_view(ready).thinking
    assert box is not None
    assert "budget" in box.end_note.text()
    button.budget_chosen.emit(0)  # of this conversation alone
    assert ready.preferences.sampling.thinking_budget is None
    ask_and_wait(qtbot, ready, "And now?")
    assert not ready.chat.shown_branch[-1].thinking
    assert ready.chat.shown_branch[-1].content

"""A full context in the window: the card below the answer, its ways, and the line they leave."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.messages.answer_boxes import ContextCard
from r1desk.chat.messages.user_view import UserView
from r1desk.shell.session import Session
from window.mouse_and_keys import click
from window.session_fixture import ask, last_view, ready_session, running_session, wait_answered
from window.stored_conversations import store_conversation

LONG = " ".join(f"The {n}th sheep jumps over the fence." for n in range(33))
TURNS = ("Count sheep.", LONG, "Count more sheep.", LONG)


def small_context(stored: prefs.Preferences) -> None:
    stored.load = stored.load.model_copy(update={"context_length": 512})
    stored.sampling = SamplingSettings(max_tokens=40, seed=1)


def last_card(qtbot: QtBot, session: Session) -> ContextCard:
    """The card below the last answer, once it has its ways."""

    def card() -> ContextCard | None:
        view = last_view(session) if session.chat.shown_branch else None
        return view.card if view is not None else None

    qtbot.waitUntil(lambda: (found := card()) is not None and len(found.buttons) >= 3)
    found = card()
    assert found is not None
    return found


def wait_completed(qtbot: QtBot, session: Session) -> None:
    def completed() -> bool:
        return session.chat.shown_branch[-1].state == "complete" and not session.chat.busy

    qtbot.waitUntil(completed)


def test_the_oldest_messages_are_left_out_and_a_line_shows_it(
    qtbot: QtBot, own_profile: Path
) -> None:
    store_conversation(own_profile, *TURNS)
    with ready_session(qtbot, own_profile, small_context) as session:
        ask(qtbot, session, "How many were there?")
        wait_answered(qtbot, session)
        last_card(qtbot, session)
    with running_session(qtbot, own_profile, small_context) as session:  # it is there again
        card = last_card(qtbot, session)
        assert all(card.prices())
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

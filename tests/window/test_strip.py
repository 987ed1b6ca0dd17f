"""The strip shows the chat on the screen and the part of the answer that is at work."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from r1desk.shell.session import Session
from window.session_fixture import (
    ask,
    ready_session,
    running_session,
    wait_answered,
    wait_ready,
)


def wait_context(qtbot: QtBot, session: Session, tokens: int) -> None:
    gauge = session.window.gauge
    qtbot.waitUntil(lambda: gauge.values is not None and gauge.values.context_used == tokens)


def test_the_context_is_that_of_the_chat_on_the_screen(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile) as session:
        ask(qtbot, session, "Name a tree.")
        wait_answered(qtbot, session)
        stats = session.chat.shown_branch[-1].stats
        assert stats is not None
        full = stats.context_used
        assert full > 0
        wait_context(qtbot, session, full)
        conversation = session.chat.conversation_id

        session.window.sidebar.new_button.click()
        wait_context(qtbot, session, 0)
        session.chat.open(conversation)
        wait_context(qtbot, session, full)

    with running_session(qtbot, own_profile) as session:  # after a restart
        wait_ready(qtbot, session)
        wait_context(qtbot, session, full)

"""The strip shows the chat on the screen and the part of the answer that is at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.supervisor_events import EngineState
from r1desk.shell.session import Session
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]


def wait_context(qtbot: QtBot, session: Session, tokens: int) -> None:
    gauge = session.window.gauge
    qtbot.waitUntil(lambda: gauge.values is not None and gauge.values.context_used == tokens)


def test_the_context_is_that_of_the_chat_on_the_screen(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
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

    with running_session(qtbot, own_profile, short_answers) as session:  # after a restart
        wait_ready(qtbot, session)
        wait_context(qtbot, session, full)


def test_the_strip_names_the_work_and_forgets_the_last_speed(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        gauge = session.window.gauge
        qtbot.waitUntil(lambda: gauge.values is not None)
        for _ in range(2):
            qtbot.waitUntil(lambda: session.engine.state is EngineState.IDLE)
            seen: list[tuple[str, float]] = []
            show = gauge.show_values

            def noted(values, show=show, seen=seen) -> None:
                seen.append((values.state, values.tok_s))
                show(values)

            gauge.show_values = noted
            ask(qtbot, session, "Name a tree.")
            wait_answered(qtbot, session)
            gauge.show_values = show
            states = [state for state, _ in seen]
            assert "Writing" in states
            assert states.index("Reading") < states.index("Writing")
            assert all(tok_s == 0 for state, tok_s in seen if state == "Reading")

"""The strip shows the chat on the screen and the part of the answer that is at work."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.supervisor_events import EngineState
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = pytest.mark.native


def test_the_context_is_that_of_the_chat_on_the_screen(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Name a tree.")
        wait_answered(qtbot, session)
        gauge, stats = session.window.gauge, session.chat.shown_branch[-1].stats
        assert stats is not None
        full = stats.context_used
        assert full > 0
        qtbot.waitUntil(lambda: gauge.values.context_used == full, timeout=10_000)
        conversation = session.chat.conversation_id

        session.window.sidebar.new_button.click()
        qtbot.waitUntil(lambda: gauge.values.context_used == 0, timeout=10_000)
        session.chat.open(conversation)
        qtbot.waitUntil(lambda: gauge.values.context_used == full, timeout=10_000)

    with running_session(qtbot, own_profile, short_answers) as session:  # after a restart
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: session.window.gauge.values.context_used == full, timeout=20_000)


def test_the_strip_names_the_work_and_forgets_the_last_speed(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        gauge = session.window.gauge
        for _ in range(2):
            qtbot.waitUntil(lambda: session.engine.state is EngineState.IDLE, timeout=10_000)
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

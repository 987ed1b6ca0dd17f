"""The model is unloaded without use if that is set, and the next message loads it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.supervisor_events import EngineState
from r1desk.models import idle_unload
from r1desk.shell.session import Session
from window.mouse_and_keys import click, click_row
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shallow_installation")]


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_unload, "MINUTE_MS", 100)


def unload_after_five(session: Session) -> None:
    """Of the short minutes above: half a second."""
    session.preferences.unload_after_min = 5
    session.idle_unload.restart()


def wait_unloaded(qtbot: QtBot, session: Session) -> None:
    unload_after_five(session)
    qtbot.waitUntil(lambda: session.models.resting)
    qtbot.waitUntil(lambda: session.engine.state is EngineState.READY)


def test_the_unused_model_is_unloaded_and_the_next_message_is_answered(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        wait_unloaded(qtbot, session)
        pill, panel = session.window.model_pill, session.window.panel
        assert "unloaded" in pill.text()
        assert "next message loads it again" in pill.accessibleDescription()
        assert "next message loads it again" in panel.model.state.text()
        qtbot.waitUntil(
            lambda: (
                session.window.gauge.values is not None
                and session.window.gauge.values.state == "Unloaded"
            ),
        )
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        question, answer = session.chat.shown_branch
        assert question.content == "Are you there?"
        assert answer.content


def test_opening_a_conversation_loads_the_model_again(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "First question")
        wait_answered(qtbot, session)
        wait_unloaded(qtbot, session)
        click(session.window.sidebar.new_button)
        with qtbot.waitSignal(session.models.loaded):
            click_row(session.window.sidebar.list, "First question")


def test_an_answer_is_never_cut_off(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        unload_after_five(session)
        loaded: list[object] = []

        def unload() -> None:
            session.models.unload()
            loaded.append(session.models.current)

        session.chat.answer_streamed.connect(unload)
        ask(qtbot, session, "Write a long story")
        wait_answered(qtbot, session)
        assert loaded
        assert None not in loaded
        assert session.chat.shown_branch[-1].content


def test_a_message_right_after_the_unloading_is_answered(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        session.models.unload()  # the engine has not taken it up when the message comes
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].content


def test_never_is_never(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        wait_ready(qtbot, session)
        qtbot.wait(1500)
        assert session.models.current is not None

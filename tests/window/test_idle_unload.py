"""The model is unloaded without use if that is set, and the next message loads it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.supervisor_events import EngineState
from r1desk.models import idle_unload
from r1desk.preferences import Preferences
from r1desk.shell.session import Session
from window.mouse_and_keys import click, click_row
from window.session_fixture import ask, running_session, short_answers, wait_answered, wait_ready

pytestmark = pytest.mark.native


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_unload, "MINUTE_MS", 100)


def after_five(stored: Preferences) -> None:
    short_answers(stored)
    stored.unload_after_min = 5  # of the short ones above: half a second


def wait_unloaded(qtbot: QtBot, session: Session) -> None:
    qtbot.waitUntil(lambda: session.models.resting, timeout=10_000)
    qtbot.waitUntil(lambda: session.engine.state is EngineState.READY, timeout=10_000)


def test_the_unused_model_is_unloaded_and_the_next_message_is_answered(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, after_five) as session:
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
            timeout=10_000,
        )
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        question, answer = session.chat.shown_branch
        assert question.content == "Are you there?"
        assert answer.content


def test_opening_a_conversation_loads_the_model_again(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, after_five) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "First question")
        wait_answered(qtbot, session)
        wait_unloaded(qtbot, session)
        click(session.window.sidebar.new_button)
        click_row(session.window.sidebar.list, "First question")
        qtbot.waitUntil(lambda: session.models.current is not None, timeout=60_000)


def test_an_answer_is_never_cut_off(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, after_five) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Write a long story")
        qtbot.waitUntil(lambda: session.engine.state is EngineState.GENERATING, timeout=30_000)
        session.models.unload()
        assert session.models.current is not None
        wait_answered(qtbot, session)
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

"""The model is unloaded without use if that is set, and the next message loads it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.protocol import UnloadRequest
from deepseek_r1.host.supervisor_events import EngineState
from r1desk.models import feature
from r1desk.shell.session import Session
from support.engine_script import EngineScript
from window.mouse_and_keys import click, click_row
from window.session_fixture import ask, ready_session, wait_answered


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature, "MINUTE_MS", 20)


def unload_after_five(session: Session) -> None:
    """Of the short minutes above: a tenth of a second."""
    session.preferences.unload_after_min = 5
    session.models_feature.idle_unload.restart()


def wait_unloaded(qtbot: QtBot, session: Session) -> None:
    unload_after_five(session)
    qtbot.waitUntil(lambda: session.models.resting)
    qtbot.waitUntil(lambda: session.engine.state is EngineState.READY)


def test_the_window_says_that_the_model_rests_and_opening_a_chat_loads_it_again(
    qtbot: QtBot, own_profile: Path
) -> None:
    with ready_session(qtbot, own_profile) as session:
        ask(qtbot, session, "First question")
        wait_answered(qtbot, session)
        wait_unloaded(qtbot, session)
        pill, panel = session.window.model_pill, session.window.panel
        assert "unloaded" in pill.text()
        assert "next message loads it again" in pill.accessibleDescription()
        assert "next message loads it again" in panel.model.state.text()
        gauge = session.window.gauge
        qtbot.waitUntil(lambda: gauge.values is not None and gauge.values.state == "Unloaded")
        click(session.window.sidebar.new_button)
        with qtbot.waitSignal(session.models.loaded):
            click_row(session.window.sidebar.list, "First question")
        wait_unloaded(qtbot, session)
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"


def test_never_is_never(qtbot: QtBot, own_profile: Path, engine: EngineScript) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        qtbot.wait(300)
        assert session.models.current is not None
    assert engine.received(UnloadRequest) == []

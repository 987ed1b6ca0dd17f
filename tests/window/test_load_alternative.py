"""A model that does not load with the settings: the refusal has a button that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import BudgetTooSmall, ModelFileMissing
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk import preferences as prefs
from r1desk.models import controller
from support.engine_script import EngineScript, refuses
from window.mouse_and_keys import click
from window.session_fixture import ready_session, running_session, wait_ready

TOO_LITTLE = LoadSettings(memory_budget=256, context_length=8192)
TOO_SMALL = BudgetTooSmall(
    needed_mib=300, budget_mib=256, weights_mib=100, kv_mib=160, rest_mib=40, advice=""
)


@pytest.fixture(autouse=True)
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has pytest and other tests in it."""
    monkeypatch.setattr(controller, "window_mib", lambda: 120.0)


def too_small_a_budget(stored: prefs.Preferences) -> None:
    stored.load = TOO_LITTLE


def test_a_refused_model_is_loaded_with_the_settings_that_fit(
    qtbot: QtBot, own_profile: Path, engine: EngineScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "memory_reading", lambda: MemoryReading(64_000.0, 0.0))
    engine.loads(refuses(TOO_SMALL))
    with running_session(qtbot, own_profile, too_small_a_budget, engine) as session:
        button = session.window.notices.action_button
        qtbot.waitUntil(button.isVisible)
        assert "It fits with" in session.window.notices.label.text()
        assert session.models.current is None
        engine.loads()
        click(button)
        wait_ready(qtbot, session)
        assert session.preferences.load.memory_budget >= TOO_LITTLE.memory_budget
        assert session.preferences.load != TOO_LITTLE  # remembered, as it has loaded
        assert session.window.panel.load.edited == session.preferences.load
        assert not session.window.panel.load.pending
        assert not session.window.notices.isVisible(), "the refusal is over"


def test_a_model_whose_draft_model_is_gone_is_loaded_without_it(
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    def with_draft(stored: prefs.Preferences) -> None:
        stored.load = LoadSettings(context_length=512, draft_model="/nowhere/gone.gguf")

    engine.loads(refuses(ModelFileMissing(path="/nowhere/gone.gguf")))
    with running_session(qtbot, own_profile, with_draft, engine) as session:
        notices = session.window.notices
        qtbot.waitUntil(lambda: notices.action_button.text() == "Load without the draft model")
        assert "gone.gguf does not exist" in notices.label.text()
        engine.loads()
        click(notices.action_button)
        wait_ready(qtbot, session)
        assert session.preferences.load.draft_model == ""


def test_other_settings_that_fit_are_taken_over_at_a_click(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile) as session:
        session.window.panel_action.setChecked(True)
        panel = session.window.panel
        panel.load.rows["memory_budget"].spin.setValue(256)
        take = panel.message.advice_button
        qtbot.waitUntil(take.isVisible)
        assert not panel.message.apply_button.isEnabled()
        click(take)
        assert panel.load.edited.memory_budget == 256
        assert panel.load.edited != panel.load.applied.model_copy(update={"memory_budget": 256})
        qtbot.waitUntil(lambda: "of 256 MiB" in panel.message.text.text())
        assert panel.message.apply_button.isEnabled()
        assert not take.isVisible()

"""A model that the budget is too small for: the refusal comes with a button that follows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import LoadSettings
from r1desk import model_controller
from r1desk import preferences as prefs
from window.desk_fixture import ANSWER_WAIT_MS, ask, running_desk, wait_answered, wait_ready

pytestmark = pytest.mark.native

TOO_LITTLE = LoadSettings(memory_budget=256, context_length=8192)


@pytest.fixture(autouse=True)
def window_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the window takes in a process of its own; this one has pytest and other tests in it."""
    monkeypatch.setattr(model_controller, "window_mib", lambda: 120.0)


def too_small_a_budget(stored: prefs.Preferences) -> None:
    stored.load = TOO_LITTLE


def test_a_refused_model_is_loaded_the_way_that_fits(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile, too_small_a_budget) as desk:
        button = desk.window.notices.action_button
        qtbot.waitUntil(button.isVisible, timeout=ANSWER_WAIT_MS)
        assert "It fits with" in desk.window.notices.label.text()
        assert desk.models.current is None

        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        wait_ready(qtbot, desk)
        bill = desk.models.current.bill
        assert bill.fits
        assert bill.budget_mib == TOO_LITTLE.memory_budget
        assert desk.preferences.load != TOO_LITTLE  # remembered, as it has loaded
        assert desk.window.panel.load.edited == desk.preferences.load
        assert not desk.window.panel.pending.isVisible()

        ask(qtbot, desk, "Hello")
        wait_answered(qtbot, desk)
        assert desk.chat.shown_branch[-1].content


def test_other_settings_that_fit_are_taken_over_at_a_click(qtbot: QtBot, own_profile: Path) -> None:
    with running_desk(qtbot, own_profile) as desk:
        wait_ready(qtbot, desk)
        panel = desk.window.panel
        panel.load.rows["memory_budget"].spin.setValue(256)
        take = panel.bill.take_button
        qtbot.waitUntil(take.isVisible, timeout=ANSWER_WAIT_MS)
        assert not panel.apply_button.isEnabled()

        qtbot.mouseClick(take, Qt.MouseButton.LeftButton)
        assert panel.load.edited.memory_budget == 256
        assert panel.load.edited != panel.load.applied.model_copy(update={"memory_budget": 256})
        qtbot.waitUntil(lambda: "of 256 MiB" in panel.pending_text.text(), timeout=ANSWER_WAIT_MS)
        assert panel.apply_button.isEnabled()
        assert not take.isVisible()

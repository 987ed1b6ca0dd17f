"""A model that does not load with the settings: the refusal has a button that follows it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from r1desk import preferences as prefs
from r1desk.models import controller
from support.budgets import engine_extra_mib
from support.gguf_files import tiny_llama
from window.session_fixture import (
    ask,
    running_session,
    short_answers,
    wait_answered,
    wait_ready,
)

pytestmark = pytest.mark.integration

TOO_LITTLE = LoadSettings(memory_budget=256, context_length=8192)


@pytest.fixture(autouse=True)
def window_alone(monkeypatch: pytest.MonkeyPatch, starter: Path) -> None:
    """What the window takes in a process of its own; this one has pytest and other tests in it."""
    window_mib = 120.0 - engine_extra_mib(starter)
    monkeypatch.setattr(controller, "window_mib", lambda: window_mib)
    constant_applies = "deepseek_r1.memory.engine_memory.constant_applies"
    monkeypatch.setattr(constant_applies, sys.platform == "linux")  # as in the engine's process


def too_small_a_budget(stored: prefs.Preferences) -> None:
    short_answers(stored)
    stored.load = TOO_LITTLE


def available(monkeypatch: pytest.MonkeyPatch, mib: float) -> None:
    monkeypatch.setattr(controller, "memory_reading", lambda: MemoryReading(64_000.0, mib))


def test_where_memory_is_free_a_refusal_offers_the_larger_budget(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    available(monkeypatch, 16_000.0)
    with running_session(qtbot, own_profile, too_small_a_budget) as session:
        button = session.window.notices.action_button
        qtbot.waitUntil(button.isVisible)
        assert "It fits with a budget of" in session.window.notices.label.text()
        assert session.window.panel.bill.total.text() == "The bill appears with the model."

        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        wait_ready(qtbot, session)
        loaded = session.preferences.load
        assert loaded == TOO_LITTLE.model_copy(update={"memory_budget": loaded.memory_budget})
        assert loaded.memory_budget > TOO_LITTLE.memory_budget
        assert not session.window.notices.isVisible(), "the refusal is over"


def test_a_refused_model_is_loaded_with_the_settings_that_fit(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    available(monkeypatch, 0.0)
    with running_session(qtbot, own_profile, too_small_a_budget) as session:
        button = session.window.notices.action_button
        qtbot.waitUntil(button.isVisible)
        assert "It fits with" in session.window.notices.label.text()
        assert session.models.current is None

        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        wait_ready(qtbot, session)
        bill = session.models.current.bill
        assert bill.fits
        assert bill.budget_mib >= TOO_LITTLE.memory_budget  # larger where memory is free
        assert session.preferences.load != TOO_LITTLE  # remembered, as it has loaded
        assert session.window.panel.load.edited == session.preferences.load
        assert not session.window.panel.load.pending

        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].content


def test_a_model_with_a_shorter_context_is_loaded_with_it_at_a_click(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    def longer(stored: prefs.Preferences) -> None:
        stored.load = LoadSettings(context_length=1024)

    path = tiny_llama(tmp_path / "tiny.gguf")  # trained for 512 tokens
    with running_session(qtbot, own_profile, longer) as session:
        wait_ready(qtbot, session)
        session.models.choose(path)
        button = session.window.notices.action_button
        qtbot.waitUntil(button.isVisible)
        assert "512 tokens or less" in session.window.notices.label.text()
        assert session.models.loaded_path != path
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: session.models.loaded_path == path)
        assert session.models.current.facts.context_length == 512
        assert session.preferences.load.context_length == 512


def test_other_settings_that_fit_are_taken_over_at_a_click(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile) as session:
        wait_ready(qtbot, session)
        session.window.panel_action.setChecked(True)
        panel = session.window.panel
        panel.load.rows["memory_budget"].spin.setValue(256)
        take = panel.message.advice_button
        qtbot.waitUntil(take.isVisible)
        assert not panel.message.apply_button.isEnabled()

        qtbot.mouseClick(take, Qt.MouseButton.LeftButton)
        assert panel.load.edited.memory_budget == 256
        assert panel.load.edited != panel.load.applied.model_copy(update={"memory_budget": 256})
        qtbot.waitUntil(lambda: "of 256 MiB" in panel.message.text.text())
        assert panel.message.apply_button.isEnabled()
        assert not take.isVisible()

"""The pill in the header says which model answers, and changes it with two clicks."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from deepseek_r1.core.paths import starter_model
from r1desk import preferences as prefs
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.shell.session import Session
from support.engine_script import EngineScript, goes_on
from support.gguf_files import tiny_llama
from window.session_fixture import (
    ask,
    running_session,
    wait_answered,
    wait_ready,
)

pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support"),  # menus take the keyboard
]


def open_menu(qtbot: QtBot, pill: ModelPill) -> QMenu:
    """Click on the pill; an open menu has an event loop of its own, so it is popped up instead."""
    menu = pill.menu()
    menu.popup(pill.mapToGlobal(QPoint(0, pill.height())))
    qtbot.waitUntil(menu.isVisible)
    return menu


def click(qtbot: QtBot, menu: QMenu, action: QAction) -> None:
    place = menu.actionGeometry(action).center()
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=place)


def entry(menu: QMenu, path: Path) -> QAction:
    return next(each for each in menu.actions() if each.toolTip() == str(path))


def recent_read(session: Session) -> bool:
    return all(item.fit or item.missing for item in session.models_feature.recent.items)


def test_the_pill_shows_name_state_and_after_an_answer_the_speed(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile) as session:
        pill = session.window.model_pill
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: "SmolLM2" in pill.text())
        assert "tok/s" not in pill.text()
        assert pill.accessibleDescription() == "Ready"
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        assert "tok/s" in pill.text()


def test_the_menu_has_the_recent_models_ticks_the_current_one_and_greys_missing_files(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, engine: EngineScript
) -> None:
    copy, gone = tiny_llama(tmp_path / "copy.gguf"), tmp_path / "gone.gguf"

    def with_recent(stored: prefs.Preferences) -> None:
        stored.recent_models = [str(copy), str(gone)]

    engine.knows(name="Tiny llama")  # as its header says
    with running_session(qtbot, own_profile, with_recent, engine) as session:
        pill = session.window.model_pill
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: recent_read(session))
        menu = open_menu(qtbot, pill)
        assert entry(menu, starter_model()).isChecked()
        assert "fits" in entry(menu, copy).text()
        assert entry(menu, gone).text() == "gone\tthe file is missing"
        click(qtbot, menu, entry(menu, gone))
        assert not session.models.loading

        with qtbot.waitSignal(session.models.loaded):
            click(qtbot, menu, entry(menu, copy))
        menu.close()
        assert Path(session.models.current.facts.path) == copy
        name = session.models.current.facts.name
        qtbot.waitUntil(lambda: recent_read(session))
        menu = open_menu(qtbot, pill)
        assert entry(menu, copy).isChecked()
        assert entry(menu, copy).text().startswith(name), "the panel calls it the same"
        assert session.window.panel.model.name.text().replace("\u200b", "") == name
        menu.close()


def test_a_load_during_an_answer_waits_for_its_end_and_the_window_shows_that(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, engine: EngineScript
) -> None:
    copy = tiny_llama(tmp_path / "copy.gguf")

    def with_recent(stored: prefs.Preferences) -> None:
        stored.recent_models = [str(copy)]

    engine.answers(goes_on())
    with running_session(qtbot, own_profile, with_recent, engine) as session:
        pill = session.window.model_pill
        wait_ready(qtbot, session)
        qtbot.waitUntil(lambda: recent_read(session))
        ask(qtbot, session, "Tell me a long story.")
        qtbot.waitUntil(lambda: session.window.gauge.values.state == "Writing")
        menu = open_menu(qtbot, pill)
        click(qtbot, menu, entry(menu, copy))
        menu.close()
        assert "waits for the answer" in pill.text()
        assert session.window.panel.model.state.text() == "It is loaded once the answer is written."
        gauge = session.window.gauge
        for _ in range(3):  # readings: by then the file was accepted and waits for a process
            before = gauge.values
            qtbot.waitUntil(lambda before=before: gauge.values is not before)
            assert gauge.values.state == "Writing"
        assert "waits for the answer" in pill.text()
        session.chat.stop()
        qtbot.waitUntil(lambda: session.models.loaded_path == copy)
        assert "waits" not in pill.text()

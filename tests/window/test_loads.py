"""Models in the window: the pill that changes them, refusals that lead on, unloading."""

import re
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import ModelFileMissing
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host.protocol import EngineState, LoadRequest, UnloadRequest
from r1desk import preferences as prefs
from r1desk.models import controller, feature, live_settings
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.performance import resource_sampler
from r1desk.shell.session import Session
from support.engine_script import EngineScript, crashes, goes_on, refuses, says, waits_for
from support.gguf_files import tiny_llama
from window.choosers import HERE, open_chooser, rows
from window.mouse_and_keys import click, click_row
from window.session_fixture import ask, ask_and_wait, ready_session, running_session, wait_ready


@pytest.fixture(autouse=True)
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has pytest and other tests in it; its readings come often."""
    for module in (controller, live_settings):
        monkeypatch.setattr(module, "window_and_helpers_mib", lambda: 120.0)
    monkeypatch.setattr(resource_sampler, "ACTIVE_MS", 100)
    monkeypatch.setattr(resource_sampler, "IDLE_MS", 200)


@pytest.mark.parametrize("kind", ["draft", "embedding"])
def test_a_model_whose_other_model_is_gone_is_loaded_without_it(qtbot, own_profile, engine, kind):
    def with_other(stored: prefs.Preferences) -> None:
        other = {f"{kind}_model": "/nowhere/gone.gguf"}
        stored.load = LoadSettings(context_length=512, **other)

    engine.loads(refuses(ModelFileMissing(path="/nowhere/gone.gguf")))
    with running_session(qtbot, own_profile, with_other, engine) as session:
        notices = session.window.notices
        way = f"Load without the {kind} model"
        qtbot.waitUntil(lambda: any(way in row.notice.actions for row in notices.rows))
        assert "gone.gguf does not exist" in notices.text
        engine.loads()
        click(notices.rows[0].buttons[0])
        wait_ready(qtbot, session)
        assert getattr(session.preferences.load, f"{kind}_model") == ""


def test_other_settings_that_fit_are_taken_over_at_a_click(qtbot: QtBot, ready: Session) -> None:
    ready.window.panel_action.setChecked(True)
    panel = ready.window.panel
    panel.load.rows["memory_budget"].spin.setValue(256)
    take = panel.message.advice_button
    qtbot.waitUntil(take.isVisible)
    assert not panel.message.apply_button.isEnabled()
    click(take)
    assert panel.load.edited.memory_budget == 256
    assert panel.load.edited != panel.load.applied.model_copy(update={"memory_budget": 256})
    qtbot.waitUntil(lambda: "/ 0.2 GB" in panel.message.text.text())
    assert panel.message.apply_button.isEnabled()
    assert not take.isVisible()


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


def test_the_window_says_that_the_model_rests_and_opening_a_chat_loads_it_again(qtbot, ready):
    ask_and_wait(qtbot, ready, "First question")
    wait_unloaded(qtbot, ready)
    pill, panel = ready.window.model_pill, ready.window.panel
    assert "unloaded" in pill.text()
    assert "reloads with your next message" in pill.accessibleDescription()
    assert "reloads with your next message" in panel.model.state.text()
    gauge = ready.window.gauge
    qtbot.waitUntil(lambda: gauge.values is not None and gauge.values.state == "Unloaded")
    click(ready.window.sidebar.new_button)
    with qtbot.waitSignal(ready.models.loaded):
        click_row(ready.window.sidebar.list, "First question")
    wait_unloaded(qtbot, ready)
    ask_and_wait(qtbot, ready, "Are you there?")
    assert ready.chat.shown_branch[-1].state == "complete"


def test_a_budget_that_is_set_while_the_model_rests_is_that_of_the_next_load(qtbot, ready):
    wait_unloaded(qtbot, ready)
    menu = open_menu(qtbot, ready.window.model_pill)
    assert not entry(menu, starter_model()).isChecked(), "it can be chosen again"
    menu.close()
    ready.window.panel_action.setChecked(True)
    panel = ready.window.panel
    panel.load.rows["memory_budget"].spin.setValue(1500)
    qtbot.waitUntil(lambda: "/ 1.5 GB" in panel.message.text.text())
    ask_and_wait(qtbot, ready, "Are you there?")
    assert ready.preferences.load.memory_budget == 1500
    assert panel.load.rows["memory_budget"].spin.value() == 1500


def test_never_is_never(qtbot: QtBot, own_profile: Path, engine: EngineScript) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        qtbot.wait(300)
        assert session.models.current is not None
    assert engine.received(UnloadRequest) == []


pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support")  # menus take the keyboard
]


def open_menu(qtbot: QtBot, pill: ModelPill) -> QMenu:
    """Click on the pill; an open menu has an event loop of its own, so it is popped up instead."""
    menu = pill.menu()
    menu.popup(pill.mapToGlobal(QPoint(0, pill.height())))
    qtbot.waitUntil(menu.isVisible)
    return menu


def choose(qtbot: QtBot, menu: QMenu, path: Path) -> None:
    place = menu.actionGeometry(entry(menu, path)).center()
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=place)


def entry(menu: QMenu, path: Path) -> QAction:
    return next(each for each in menu.actions() if each.toolTip() == str(path))


def recent_read(session: Session) -> bool:
    return all(item.forecast or item.error for item in session.models_feature.recent.items)


def test_after_an_answer_pill_menu_and_chooser_have_the_measured_speed(qtbot, session, engine):
    pill = session.window.model_pill
    wait_ready(qtbot, session)
    qtbot.waitUntil(lambda: "SmolLM2" in pill.text())
    assert "tok/s" not in pill.text()
    assert pill.accessibleDescription() == "Ready"
    engine.answers(says("word " * 40))
    ask_and_wait(qtbot, session, "Hello")
    qtbot.waitUntil(lambda: "tok/s" in pill.text())
    shown = re.search(r"[\d.]+ tok/s", pill.text())[0]
    measured = f"{shown}, measured"
    menu = open_menu(qtbot, pill)
    assert measured in entry(menu, starter_model()).text()
    menu.close()
    chooser = open_chooser(qtbot, session, HERE)
    qtbot.waitUntil(lambda: bool(rows(chooser)))
    assert measured in rows(chooser)["SmolLM2-135M-Instruct Q4_1"][1]


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
        choose(qtbot, menu, gone)
        assert not session.models.loading

        with qtbot.waitSignal(session.models.loaded):
            choose(qtbot, menu, copy)
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
        choose(qtbot, menu, copy)
        menu.close()
        note = "Loads after this answer"
        assert note in pill.text()
        assert session.window.panel.model.state.text() == note
        gauge = session.window.gauge
        for _ in range(8):  # readings: by then the file was accepted and waits for a process
            before = gauge.values
            qtbot.waitUntil(lambda before=before: gauge.values is not before)
            assert gauge.values.state == note
        assert note in pill.text()
        session.chat.stop()
        qtbot.waitUntil(lambda: session.models.loaded_path == copy)
        assert note not in pill.text()


def test_a_reload_during_an_answer_waits_for_its_end_or_stops_it(qtbot, ready, engine):
    window, note = ready.window, "Reloads after this answer"
    engine.answers(goes_on())
    window.panel_action.setChecked(True)
    ask(qtbot, ready, "Tell me a long story.")
    qtbot.waitUntil(lambda: window.gauge.values.state == "Writing")
    window.panel.load.rows["context_length"].spin.setValue(512)
    click(window.panel.message.apply_button)
    qtbot.waitUntil(lambda: len(engine.received(LoadRequest)) == 2)
    qtbot.wait(300)  # by then the engine's state and some readings have come
    assert note in window.model_pill.text()
    assert window.gauge.values.state == note
    assert window.panel.model.state.text() == note
    assert not window.panel.model.progress.isVisible()
    with qtbot.waitSignal(ready.models.loaded):
        click(window.panel.model.now_button)
    assert ready.preferences.load.context_length == 512
    qtbot.waitUntil(lambda: ready.chat.shown_branch[-1].state == "stopped")


def test_what_is_chosen_during_a_load_that_fails_does_not_come_back_after_the_next(
    qtbot: QtBot, ready: Session, tmp_path: Path, engine: EngineScript
) -> None:
    copy, gate = tiny_llama(tmp_path / "copy.gguf"), engine.gate("read")
    ready.window.panel_action.setChecked(True)
    threads = ready.window.panel.load.rows["threads"].spin
    engine.loads(waits_for(gate), crashes())
    ready.models.choose(copy)
    qtbot.waitUntil(lambda: ready.models.current is None)
    threads.setValue(1)
    engine.loads()
    with qtbot.waitSignal(ready.models.load_failed):
        engine.open_gate("read")
    qtbot.waitUntil(lambda: ready.preferences.load.threads == 1)
    threads.setValue(0)
    with qtbot.waitSignal(ready.models.loaded):
        ready.models.choose(copy)
    qtbot.wait(50)  # what is put back would be by now
    assert ready.preferences.load.threads == threads.value() == 0


def test_a_file_that_was_never_loaded_has_its_own_name_while_it_is_read(
    qtbot: QtBot, ready: Session, tmp_path: Path, engine: EngineScript
) -> None:
    copy, gate = tiny_llama(tmp_path / "copy.gguf"), engine.gate("read")
    engine.loads(waits_for(gate))
    ready.models.choose(copy)
    qtbot.waitUntil(lambda: "Tiny llama" in ready.window.model_pill.text())
    assert ready.models.loading
    assert ready.window.panel.model.name.text() == "Tiny llama"
    engine.open_gate("read")
    qtbot.waitUntil(lambda: ready.models.loaded_path == copy)

"""A person at the real window: types, reads, stops, edits, regenerates, searches, comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QDialog
from pytestqt.qtbot import QtBot

from r1desk.shell import main_window
from window.session_fixture import (
    ask,
    ready_session,
    running_session,
    short_answers,
    texts,
    wait_answered,
)


def test_everything_is_found_again_after_a_restart(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, "Tell me about zebras.")
        wait_answered(qtbot, session)
        before = texts(session)
        qtbot.keyClicks(session.window.composer.editor, "half a thou")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert texts(session) == before
        qtbot.waitUntil(lambda: session.window.composer.text() == "half a thou")
        assert session.preferences.sampling.max_tokens == 48
        session.window.sidebar.search.setText("zebra")
        rows = session.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1)
        assert "zebra" in rows.index(0, 0).data().lower()


def test_the_language_changes_under_a_running_conversation(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask(qtbot, session, "Hello")
        wait_answered(qtbot, session)
        before = texts(session)
        old = session.window
        session.set_language("zh_CN")
        qtbot.waitUntil(lambda: session.window is not old)
        qtbot.waitUntil(lambda: texts(session) == before)
        assert session.window.sidebar.new_button.text() == "新对话"
        session.set_language("en")
        qtbot.waitUntil(lambda: session.window.sidebar.new_button.text() == "New chat")


def test_every_entry_of_the_menu_leads_somewhere(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        window = session.window
        actions = (window.about_action, window.shortcuts_action, window.models_action)
        for action in (*actions, window.settings_action, window.doctor_action):
            action.trigger()
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, QDialog)
            dialog.reject()
        window.larger_action.trigger()
        assert QApplication.font().pointSize() == session.preferences.text_size_pt
        window.normal_action.trigger()
        assert session.preferences.text_size_pt == 0
        window.panel_action.trigger()
        assert window.panel.isVisible()
        window.search_action.trigger()
        assert window.focusWidget() is window.sidebar.search


def test_an_open_panel_beside_the_sidebar_is_found_so_again_after_a_restart(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_window, "LEAST_CHAT_PX", 100)  # the tests' screen is 800 wide
    with running_session(qtbot, own_profile, short_answers) as session:
        session.window.resize(800, 680)
        session.window.panel_action.trigger()
        assert session.window.sidebar.isVisible()
    with running_session(qtbot, own_profile) as session:
        assert session.window.panel.isVisible()
        assert session.window.sidebar.isVisible()

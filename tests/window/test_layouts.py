"""No Python object stands for an item of a layout: it would outlive it (`widgets.layouts`)."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QHBoxLayout, QVBoxLayout, QWidget, QWidgetItem
from pytestqt.qtbot import QtBot
from shiboken6 import getAllValidWrappers

from r1desk.preferences import Preferences
from r1desk.widgets.layouts import put_inside
from window.session_fixture import ready_session


def items() -> set[int]:
    return {id(each) for each in getAllValidWrappers() if isinstance(each, QWidgetItem)}


def first(stored: Preferences) -> None:
    stored.welcomed = False


def test_the_whole_window_holds_no_items_of_layouts(qtbot: QtBot, tmp_path: Path) -> None:
    before = items()
    with ready_session(qtbot, tmp_path / "profile", first) as session:
        for width in (780, 1366):  # the welcome's questions change their places
            session.window.resize(width, 700)
            qtbot.wait(50)
        window = session.window
        for action in (window.about_action, window.shortcuts_action, window.models_action):
            action.trigger()
            QApplication.activeModalWidget().reject()
        assert items() <= before


def test_only_an_empty_layout_is_put_inside(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    filled = QHBoxLayout()
    filled.addWidget(QWidget())
    with pytest.raises(ValueError, match="filled after"):
        put_inside(QVBoxLayout(outer), filled)

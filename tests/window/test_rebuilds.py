"""A change of the language builds the window anew; nothing of the one before is left."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from r1desk.shell.main_window import MainWindow
from window.session_fixture import ready_session


def test_no_widget_of_an_earlier_window_is_left(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile) as session:
        qtbot.wait(300)
        before = len(QApplication.allWidgets())
        others = set(_windows()) - {session.window}
        for language in ("zh_CN", "en", "zh_CN", "en"):
            old = session.window
            session.set_language(language)
            qtbot.waitUntil(lambda old=old: session.window is not old)
        qtbot.waitUntil(lambda: set(_windows()) - others == {session.window})
        qtbot.waitUntil(lambda: len(QApplication.allWidgets()) <= before * 1.05)


def _windows() -> list[MainWindow]:
    """All main windows, those of earlier tests too."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)]

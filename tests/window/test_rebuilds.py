"""Nothing of a window outlives it, and no Python object an item of a layout (`widgets.layouts`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
    QWidgetItem,
)
from pytestqt.qtbot import QtBot
from shiboken6 import getAllValidWrappers

from deepseek_r1.core.i18n import use_language
from r1desk.shell.desktop_application import install_qt_translations
from r1desk.shell.main_window import MainWindow
from r1desk.shell.session import Session
from r1desk.widgets.layouts import put_inside
from window.session_fixture import first_start, ready_session


def test_no_widget_of_an_earlier_window_is_left(qtbot: QtBot, ready: Session) -> None:
    qtbot.wait(300)
    before = len(QApplication.allWidgets())
    others = set(_windows()) - {ready.window}
    for language in ("zh_CN", "en", "zh_CN", "en"):
        old = ready.window
        ready.set_language(language)
        qtbot.waitUntil(lambda old=old: ready.window is not old)
    qtbot.waitUntil(lambda: set(_windows()) - others == {ready.window})
    qtbot.waitUntil(lambda: len(QApplication.allWidgets()) <= before * 1.05)


def _windows() -> list[MainWindow]:
    """All main windows, those of earlier tests too."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)]


def items() -> set[int]:
    return {id(each) for each in getAllValidWrappers() if isinstance(each, QWidgetItem)}


def test_the_whole_window_holds_no_items_of_layouts(qtbot: QtBot, tmp_path: Path) -> None:
    before = items()
    with ready_session(qtbot, tmp_path / "profile", first_start) as session:
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


@pytest.fixture(autouse=True)
def english_afterwards(qapp: QApplication) -> Iterator[None]:
    yield
    use_language("en")
    install_qt_translations(qapp)


def texts_of_a_file_dialog(qtbot: QtBot) -> list[str]:
    dialog = QFileDialog()
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    qtbot.addWidget(dialog)
    parts = [*dialog.findChildren(QLabel), *dialog.findChildren(QPushButton)]
    return [part.text() for part in parts if part.text()]


def test_a_file_dialog_is_in_the_language_of_the_window(qapp: QApplication, qtbot: QtBot) -> None:
    use_language("zh_CN")
    install_qt_translations(qapp)
    found = texts_of_a_file_dialog(qtbot)
    assert found
    assert [text for text in found if not any("\u4e00" <= each <= "\u9fff" for each in text)] == []
    use_language("en")
    install_qt_translations(qapp)
    assert "&Look in:" in texts_of_a_file_dialog(qtbot)

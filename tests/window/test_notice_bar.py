"""The strip above the chat."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from r1desk.shell.main_window import MainWindow
from r1desk.theme import DARK, LIGHT, ThemeChoice, apply_theme
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


def test_a_notice_takes_the_colours_of_another_theme(qapp: QApplication, qtbot: QtBot) -> None:
    apply_theme(qapp, ThemeChoice.LIGHT)
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.show_notice(Notice("The disk is full.", Level.ERROR))
    assert LIGHT.danger in bar.styleSheet()
    apply_theme(qapp, ThemeChoice.DARK)
    QApplication.processEvents()
    assert DARK.raised in bar.styleSheet()
    assert DARK.danger in bar.styleSheet()
    apply_theme(qapp, ThemeChoice.LIGHT)


def test_the_symbol_is_level_with_a_line_after_another_style_sheet(
    qapp: QApplication, qtbot: QtBot
) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.setStyleSheet("QToolButton { padding: 30px; }")
    symbol = bar.layout().itemAt(0).widget()
    assert symbol.height() == bar.close_button.sizeHint().height() > 60


def test_after_a_notice_is_followed_the_keyboard_is_in_the_composer(qtbot: QtBot) -> None:
    window = MainWindow()
    window.show()
    qtbot.waitActive(window)
    followed: list[bool] = []
    notice = Notice("It fits.", Level.ERROR, "Load it", lambda: followed.append(True))
    window.notices.show_notice(notice)
    window.notices.action_button.setFocus()
    qtbot.keyClick(window.notices.action_button, Qt.Key.Key_Space)
    assert followed == [True]
    assert window.focusWidget() is window.composer.editor
    window.close()

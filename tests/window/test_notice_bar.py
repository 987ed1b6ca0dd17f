"""The strip above the chat."""

from __future__ import annotations

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from r1desk.dialogs.notice_bar import Level, Notice, NoticeBar
from r1desk.theme import DARK, LIGHT, ThemeChoice, apply_theme


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

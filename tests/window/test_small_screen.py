"""The first window on a small screen, or on one that shows everything twice as large."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QRect
from pytestqt.qtbot import QtBot

from r1desk.shell.main_window import MainWindow
from r1desk.widgets.text_label import ElidedLabel


class Screen:
    """What a window asks of its screen."""

    def __init__(self, width: int, height: int) -> None:
        self._room = QRect(0, 0, width, height)

    def availableGeometry(self) -> QRect:
        return self._room


def opened(qtbot: QtBot, width: int, height: int) -> MainWindow:
    class OnThatScreen(MainWindow):
        def screen(self) -> Screen:
            return Screen(width, height)

    window = OnThatScreen()
    window.place(b"")
    window.show()
    qtbot.waitExposed(window)
    return window


@pytest.mark.parametrize(("width", "height"), [(683, 360), (800, 560), (1366, 740), (3840, 2100)])
def test_the_first_window_is_inside_of_the_screen(qtbot: QtBot, width: int, height: int) -> None:
    window = opened(qtbot, width, height)
    assert window.width() <= width
    assert window.height() <= height
    bottom = window.composer.mapTo(window, window.composer.rect().bottomLeft())
    assert bottom.y() < window.height()
    window.close()


def test_a_small_screen_is_for_the_conversation_at_first(qtbot: QtBot) -> None:
    window = opened(qtbot, 683, 360)
    assert not window.panel.isVisible()
    window.panel_action.trigger()
    assert window.panel.isVisible()
    window.close()


def test_a_title_without_room_ends_in_an_ellipsis(qtbot: QtBot) -> None:
    title = ElidedLabel("Why is the sky blue, and what of sunsets?")
    qtbot.addWidget(title)
    title.resize(120, 20)
    assert title.shown().startswith("Why is")
    assert title.shown().endswith("…")
    title.resize(1000, 20)
    assert title.shown() == title.text()

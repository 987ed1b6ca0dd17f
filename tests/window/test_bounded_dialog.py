"""Dialogs stay within a screen that shows everything one and a half times or twice as large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from r1desk.shell.about import about, shortcuts
from r1desk.shell.doctor_page import DoctorPage
from r1desk.shell.settings_dialog import SettingsDialog
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.widgets.bounded_dialog import BoundedDialog

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


def settings(parent: QWidget) -> QDialog:
    return SettingsDialog(
        parent,
        language=None,
        theme="light",
        text_size_pt=0,
        reading_width="normal",
        unload_after_min=0,
        folders={"Models": Path("/tmp")},
    )


DIALOGS: dict[str, Callable[[QWidget], QDialog]] = {
    "about": lambda parent: about(parent, "llama.cpp"),
    "shortcuts": shortcuts,
    "doctor": DoctorPage,
    "settings": settings,
}


@pytest.mark.parametrize("name", sorted(DIALOGS))
@pytest.mark.parametrize(("width", "height"), [(911, 512), (683, 384)])
def test_a_dialog_is_within_the_screen_and_shows_its_buttons(
    qapp: QApplication,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    width: int,
    height: int,
) -> None:
    class Screen:
        def availableGeometry(self) -> QRect:
            return QRect(0, 0, width, height)

    monkeypatch.setattr(BoundedDialog, "screen", lambda _dialog: Screen())
    apply_theme(qapp, ThemeChoice.LIGHT)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = DIALOGS[name](parent)
    assert isinstance(dialog, BoundedDialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert dialog.width() <= width
    assert dialog.height() <= height
    bottom = dialog.buttons.mapTo(dialog, dialog.buttons.rect().bottomRight())
    assert dialog.rect().contains(bottom)
    dialog.close()

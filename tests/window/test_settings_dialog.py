"""The settings page: each choice is reported at once, and folders say what they take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from r1desk.shell.settings_dialog import SettingsDialog, folder_sizes

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support")


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path) -> Iterator[SettingsDialog]:
    (tmp_path / "model.gguf").write_bytes(bytes(2_500_000))
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = SettingsDialog(
        parent,
        language="en",
        theme="dark",
        text_size_pt=0,
        reading_width="normal",
        unload_after_min=0,
        folders={"Models": tmp_path},
    )
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    dialog.show()
    qtbot.waitExposed(dialog)
    yield dialog
    parent.close()


def test_it_shows_what_is_in_force(dialog: SettingsDialog) -> None:
    assert dialog.language.currentText() == "English"
    assert dialog.theme.currentText() == "Dark"
    assert dialog.text_size.currentData() == 0


@pytest.mark.parametrize(
    ("control", "signal", "value"),
    [
        ("theme", "theme_chosen", "high_contrast"),
        ("text_size", "text_size_chosen", 8),
        ("reading_width", "reading_width_chosen", "wide"),
        ("unload_after", "unload_after_chosen", 5),
        ("language", "language_chosen", "zh_CN"),
    ],
)
def test_a_choice_by_keyboard_is_reported(
    dialog: SettingsDialog, qtbot: QtBot, control: str, signal: str, value: object
) -> None:
    combo = getattr(dialog, control)
    combo.setFocus()
    with qtbot.waitSignal(getattr(dialog, signal)) as chosen:
        qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert chosen.args == [value]


def test_a_folder_says_what_it_takes(dialog: SettingsDialog, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: dialog.sizes["Models"].text() == "2.5 MB")


def test_a_folder_inside_another_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(bytes(1000))
    (tmp_path / "chats.db").write_bytes(bytes(300))
    found = folder_sizes({"models": tmp_path / "models", "profile": tmp_path})
    assert found == {"models": 1000, "profile": 300}

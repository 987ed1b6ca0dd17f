"""A drop-down shows all of its entries."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox
from pytestqt.qtbot import QtBot

from r1desk.theme import ThemeChoice, apply_theme


@pytest.mark.qt_log_ignore("This plugin does not support")
@pytest.mark.parametrize(
    ("choice", "current"), [(ThemeChoice.LIGHT, 2), (ThemeChoice.HIGH_CONTRAST, 0)]
)
def test_the_last_entry_of_a_drop_down_is_not_cut(
    qtbot: QtBot, choice: ThemeChoice, current: int
) -> None:
    apply_theme(QApplication.instance(), choice)
    combo = QComboBox()
    combo.addItems(["Hugging Face", "hf-mirror", "ModelScope"])
    combo.setCurrentIndex(current)
    qtbot.addWidget(combo)
    combo.show()
    qtbot.waitExposed(combo)
    qtbot.mouseClick(combo, Qt.MouseButton.LeftButton)
    view = combo.view()
    qtbot.waitUntil(view.isVisible)
    for row in range(combo.count()):
        shown = view.visualRect(combo.model().index(row, 0))
        assert view.viewport().rect().contains(shown)
    combo.hidePopup()

"""A stray click on a slider's track cannot set a value far away."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from r1desk.theme import ThemeChoice, apply_theme
from r1desk.widgets.step_slider import StepSlider


@pytest.fixture
def slider(qapp: QApplication, qtbot: QtBot) -> StepSlider:
    apply_theme(qapp, ThemeChoice.LIGHT)
    slider = StepSlider()
    slider.setRange(0, 40)
    slider.setValue(10)
    slider.resize(300, 30)
    qtbot.addWidget(slider)
    slider.show()
    return slider


def click(qtbot: QtBot, slider: StepSlider, x: int) -> None:
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(x, slider.height() // 2))


def test_a_click_at_the_far_end_moves_by_one_step(slider: StepSlider, qtbot: QtBot) -> None:
    click(qtbot, slider, 290)
    assert slider.value() == 11
    click(qtbot, slider, 5)
    assert slider.value() == 10


def test_the_handle_can_still_be_dragged(slider: StepSlider, qtbot: QtBot) -> None:
    y = slider.height() // 2
    handle = QPoint(round(10 / 40 * (300 - 14)) + 7, y)
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=handle)
    qtbot.mouseMove(slider, QPoint(220, y))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(220, y))
    assert slider.value() > 25

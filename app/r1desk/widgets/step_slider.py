"""A slider that moves by one step when its track is clicked."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider


class StepSlider(QSlider):
    """A horizontal slider without jumps.

    Fusion moves the handle to where the track is clicked: a stray click then sets a value far away.
    Here a click beside the handle moves it by one step towards the pointer.
    """

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle = self.style().subControlRect(
            QStyle.ComplexControl.CC_Slider, option, QStyle.SubControl.SC_SliderHandle, self
        )
        x = round(event.position().x())
        if event.button() is not Qt.MouseButton.LeftButton or handle.left() <= x <= handle.right():
            super().mousePressEvent(event)
            return
        event.accept()
        towards_more = (x > handle.right()) != (option.upsideDown)
        action = QSlider.SliderAction.SliderSingleStepAdd
        if not towards_more:
            action = QSlider.SliderAction.SliderSingleStepSub
        self.triggerAction(action)

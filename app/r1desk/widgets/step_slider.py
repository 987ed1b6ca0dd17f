"""A slider that moves by one step when its track is clicked."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider

from r1desk.theme import tokens

_HANDLE_PX = 14  # as in the style sheet


class StepSlider(QSlider):
    """A horizontal slider without jumps.

    Fusion moves the handle to where the track is clicked: a stray click then sets a value far away.
    Here a click beside the handle moves it by one step towards the pointer.
    """

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        # Positions with a mark below the track, between `minimum` and `maximum`.
        self.marks: tuple[float, ...] = ()

    def set_marks(self, positions: Sequence[float]) -> None:
        """Mark `positions`, which need not be whole steps."""
        marks = tuple(at for at in positions if self.minimum() <= at <= self.maximum())
        if marks != self.marks:
            self.marks = marks
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self.marks or self.maximum() <= self.minimum():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens().text_dim))
        length = self.width() - _HANDLE_PX
        for at in self.marks:
            share = (at - self.minimum()) / (self.maximum() - self.minimum())
            x, y = _HANDLE_PX / 2 + share * length, self.height() / 2 + 4
            tip, left, right = QPointF(x, y), QPointF(x - 4, y + 6), QPointF(x + 4, y + 6)
            painter.drawPolygon(QPolygonF([tip, left, right]))
        painter.end()

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

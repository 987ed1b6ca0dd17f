"""The fill of the context: a bar and one sentence."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.performance.hints import format_context_left
from r1desk.performance.widgets.meters import draw_bar, level_colour
from r1desk.theme import tokens
from r1desk.widgets.text_label import text_label


class ContextMeter(QWidget):
    """The tokens of the conversation on the screen, against what the model can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.text = text_label("", "dim")
        self._bar = _Bar()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(text_label(tr("This conversation"), "heading"))
        layout.addWidget(self._bar)
        layout.addWidget(self.text)
        self.show_tokens(0, 0)

    def show_tokens(self, used: int, length: int) -> None:
        """Show `used` of `length` tokens; a length of 0 is not known yet."""
        text = format_context_left(used, length)
        if text != self.text.text():
            self.text.setText(text)
            self._bar.setAccessibleName(text)
        self._bar.show_fraction(used / length if length > 0 else 0.0)


class _Bar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._fraction = 0.0
        self.setFixedHeight(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_fraction(self, fraction: float) -> None:
        if fraction != self._fraction:
            self._fraction = fraction
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        level = level_colour(self._fraction, colours)
        draw_bar(painter, QRectF(self.rect()), self._fraction, level, colours.track)
        painter.end()

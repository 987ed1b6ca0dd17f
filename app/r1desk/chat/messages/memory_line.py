"""The line in a conversation above the first message that the model reads."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import MoveMemory, Request
from r1desk.theme.fonts import scaled

_FONT_SCALE = 0.88


class MemoryLine(QWidget):
    """A line with its meaning, and buttons that move or remove it."""

    def __init__(self, style: TextStyle, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        self._style, self._request = style, request
        self._label = QLabel(tr("The model reads from here on"), self)
        self._label.setFont(scaled(style.font, _FONT_SCALE))
        palette = self._label.palette()
        palette.setColor(palette.ColorRole.WindowText, style.colours.dim)
        self._label.setPalette(palette)
        self.setAccessibleName(self._label.text())
        self.buttons = [
            self._button("chevron-up", tr("Begin one turn earlier"), -1),
            self._button("chevron-down", tr("Begin one turn later"), 1),
            self._button("close", tr("Read the whole conversation"), 0),
        ]

    def _button(self, name: str, label: str, turns: int) -> QToolButton:
        button = icon_button(name, label, self)
        button.clicked.connect(lambda: self._request(MoveMemory(turns)))
        return button

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        height = max(button.sizeHint().height() for button in self.buttons)
        x = width
        for button in reversed(self.buttons):
            size = button.sizeHint()
            x -= size.width()
            button.setGeometry(x, (height - size.height()) // 2, size.width(), size.height())
        text = min(self._label.sizeHint().width(), x)
        self._label.setGeometry((x - text) // 2, 0, text, height)
        self.resize(width, height)
        return height

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the line at both sides of the text."""
        painter = QPainter(self)
        painter.setPen(QPen(self._style.colours.accent, 1))
        y, gap = self.height() / 2, self._style.em_px * 0.5
        text = self._label.geometry()
        painter.drawLine(QPointF(0, y), QPointF(text.left() - gap, y))
        end = self.buttons[0].geometry().left() - gap
        painter.drawLine(QPointF(text.right() + gap, y), QPointF(end, y))

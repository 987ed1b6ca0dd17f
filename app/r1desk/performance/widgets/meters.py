"""Small meters of the strip. Each paints itself, and only when its picture changes."""

from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from r1desk.theme import tokens
from r1desk.theme.tokens import Tokens

WARN_AT = 0.85
OVER_AT = 1.02  # measuring a process and planning it differ by up to two percent
PAD_PX = 6


def level_colour(fraction: float, colours: Tokens, *, full_is_fine: bool = False) -> QColor:
    """Calm below 85 %, a warning up to the budget, danger beyond its tolerance.

    Where it is meant to be filled (`full_is_fine`), it is calm up to the budget.
    """
    if fraction > OVER_AT:
        return QColor(colours.danger)
    return QColor(colours.warning if fraction > WARN_AT and not full_is_fine else colours.accent)


def draw_bar(painter: QPainter, box: QRectF, fraction: float, level: QColor) -> None:
    """A thin bar filled to `fraction` in the colour `level`."""
    radius = box.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(tokens().track))
    painter.drawRoundedRect(box, radius, radius)
    if fraction > 0:
        filled = QRectF(box)
        filled.setWidth(max(box.height(), box.width() * min(1.0, fraction)))
        painter.setBrush(level)
        painter.drawRoundedRect(filled, radius, radius)


class Picture(QWidget):
    """Keeps what it shows as one value and repaints only when the value is another."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: Any = None

    def show_picture(self, value: object) -> None:
        """Show another value."""
        if value != self.shown:
            self.shown = value
            self.update()


class Meter(Picture):
    """A caption, a value and, where there is a whole, a bar below them."""

    clicked = Signal()  # by mouse or keyboard, after `make_button`

    def __init__(self, caption: str, widest: str, grows: bool = True) -> None:
        super().__init__()
        self._caption, self._widest = caption, widest
        self._value = ""
        self._fraction: float | None = None
        self._full_is_fine = False
        self._is_button = False
        policy = QSizePolicy.Policy.Preferred if grows else QSizePolicy.Policy.Fixed
        self.setSizePolicy(policy, QSizePolicy.Policy.Fixed)

    def show_value(self, value: str, fraction: float | None, *, full_is_fine: bool = False) -> None:
        """Show `value`; `fraction` of the whole, or None for no bar."""
        if len(value) != len(self._value):
            self.updateGeometry()
        self._value, self._fraction, self._full_is_fine = value, fraction, full_is_fine
        drawn = None if fraction is None else round(fraction, 2)
        self.show_picture((value, drawn, full_is_fine))

    def make_button(self, name: str) -> None:
        """Let it be clicked, and reached with the keyboard; `name` says what a click does."""
        self._is_button = True
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)  # repainted as the mouse comes and goes
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        left = event.button() is Qt.MouseButton.LeftButton
        if self._is_button and left and self.rect().contains(event.position().toPoint()):
            self.clicked.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.setAccepted(self._is_button)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if self._is_button and event.key() in keys:
            self.clicked.emit()
        else:
            super().keyPressEvent(event)

    def _draw_button(self, painter: QPainter) -> None:
        colours = tokens()
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours.focus), colours.focus_px))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        elif self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        texts = (f"{self._caption}  {value}" for value in (self._widest, self._value))
        text = max(map(metrics.horizontalAdvance, texts))
        return QSize(text + 4 + 2 * PAD_PX, metrics.height() + 14)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = tokens()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._is_button:
            self._draw_button(painter)
        metrics = self.fontMetrics()
        fraction = self._fraction
        width = self.width() - 2 * PAD_PX
        line = QRectF(PAD_PX, 2.0, width, metrics.height())  # one line of text in all meters
        left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.setPen(QColor(colours.text_dim))
        painter.drawText(line, left, self._caption)
        over = (fraction or 0) > OVER_AT
        painter.setPen(QColor(colours.danger if over else colours.text))
        offset = metrics.horizontalAdvance(f"{self._caption}  ") if self._caption else 0
        painter.drawText(line.adjusted(offset, 0, 0, 0), left, self._value)
        if fraction is not None:
            box = QRectF(PAD_PX, self.height() - 8, width, 5)
            level = level_colour(fraction, colours, full_is_fine=self._full_is_fine)
            draw_bar(painter, box, fraction, level)
        painter.end()

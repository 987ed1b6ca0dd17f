"""A line of text and a thin bar for what the engine does before the first word."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from r1desk.chat.text.text_style import TextStyle
from r1desk.theme.fonts import scaled


class StatusLine(QWidget):
    """One line of text; below it a bar while `fraction` is known."""

    def __init__(self, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._fraction: float | None = None
        self.text = ""
        self.setFont(scaled(style.font, 0.94))

    def show_status(self, text: str, fraction: float | None = None) -> None:
        """Show `text`, and progress from 0 to 1 if known."""
        self.text = text
        self._fraction = None if fraction is None else min(max(fraction, 0.0), 1.0)
        self.setAccessibleName(text)
        self.update()

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        height = round(self._style.em_px * 2.1)
        self.resize(width, height)
        return height

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw both."""
        em, colours = self._style.em_px, self._style.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colours.dim)
        line = QRectF(0, 0, self.width(), em * 1.3)
        text = painter.fontMetrics().elidedText(
            self.text, Qt.TextElideMode.ElideRight, self.width()
        )
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        if self._fraction is None:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        bar = QRectF(0, em * 1.5, min(self.width(), em * 18), max(4.0, em * 0.22))
        radius = bar.height() / 2
        painter.setBrush(colours.track)
        painter.drawRoundedRect(bar, radius, radius)
        bar.setWidth(max(bar.height(), bar.width() * self._fraction))
        painter.setBrush(colours.accent)
        painter.drawRoundedRect(bar, radius, radius)

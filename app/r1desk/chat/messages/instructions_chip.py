"""The line above a conversation that has a system prompt of its own."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.colours import chat_colours
from r1desk.theme.fonts import scaled
from r1desk.widgets.text_label import ElidedLabel

MAX_CHARACTERS = 400
TOP_PX = 5  # above the frame


class InstructionsChip(QWidget):
    """Shows the system prompt in one line, all of it in its tooltip; hidden while it is empty."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._label = ElidedLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setFont(scaled(self.font(), 0.88))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 3 + TOP_PX, 12, 3)
        row.addWidget(self._label)
        self.hide()

    def text(self) -> str:
        """The line."""
        return self._label.text()

    def set_instructions(self, text: str) -> None:
        """Show a system prompt; an empty one hides the line."""
        line = fit.prose(" ".join(text[:MAX_CHARACTERS].split()))
        self._label.setText(tr("Instructions: {instructions}", instructions=line) if line else "")
        self.setToolTip(fit.plain_tooltip(text[: 10 * MAX_CHARACTERS]))
        self.setVisible(bool(line))

    def sizeHint(self) -> QSize:
        """As wide as the line, and no wider than its parent has room for."""
        hint = super().sizeHint()
        return QSize(min(hint.width(), self.parentWidget().width() - 32), hint.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the frame."""
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colours.edge, 1))
        painter.drawRoundedRect(self.rect().adjusted(0, TOP_PX, -1, -1), 9, 9)

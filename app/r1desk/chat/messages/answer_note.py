"""A short remark in the place of an answer that was not written."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QWidget

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.text.text_style import TextStyle
from r1desk.store import ChatMessage

_STILL_THINKING = {
    FinishReason.STOP: N_("The model ended inside of its thinking and wrote no answer."),
    FinishReason.LENGTH: N_(
        "It was still thinking when the longest answer was reached. A larger “Longest answer” "
        "leaves more tokens for it."
    ),
    FinishReason.CONTEXT: N_(
        "It was still thinking when the context was full. A larger context leaves more tokens "
        "for it."
    ),
    FinishReason.REPETITION: N_("It was still thinking when its text repeated itself."),
    FinishReason.CANCELLED: N_("It was stopped while it was still thinking."),
    FinishReason.ERROR: N_("The engine failed while the model was still thinking."),
}


def note_for(message: ChatMessage) -> str:
    """Why there is no answer below the thinking; empty where there is one."""
    ended = message.state in {"complete", "stopped"}
    if not ended or not message.thinking.strip() or message.content.strip():
        return ""
    reason = message.stats.finish_reason if message.stats else FinishReason.CANCELLED
    return tr(_STILL_THINKING[reason])


class AnswerNote(QWidget):
    """A framed, dim text."""

    def __init__(self, text: str, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._label = QLabel(text, self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setFont(style.font)
        palette = self._label.palette()
        palette.setColor(palette.ColorRole.WindowText, style.colours.dim)
        self._label.setPalette(palette)
        self.setAccessibleName(text)

    def text(self) -> str:
        """The remark."""
        return self._label.text()

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        pad = round(self._style.em_px * 0.6)
        height = self._label.heightForWidth(width - 2 * pad)
        self._label.setGeometry(pad, pad, width - 2 * pad, height)
        self.resize(width, height + 2 * pad)
        return height + 2 * pad

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._style.colours.edge, 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)

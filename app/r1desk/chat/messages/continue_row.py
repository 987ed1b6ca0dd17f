"""A sentence on why an answer ended early, and buttons that let it go on."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import ContinueAnswer, Request
from r1desk.chat.values.message import can_go_on, ended_inside_thinking
from r1desk.store import ChatMessage
from r1desk.theme.fonts import scaled

_FONT_SCALE = 0.94
_REASONS = {
    FinishReason.LENGTH: N_("The answer reached its maximum length."),
    FinishReason.REPETITION: N_("The text only repeated itself, so it was ended."),
    FinishReason.CANCELLED: N_("The answer was stopped."),
    FinishReason.ERROR: N_("The engine failed during the answer."),
}


def can_continue(message: ChatMessage) -> bool:
    """Whether the row belongs below an answer: it was cut, and the context has room."""
    full = message.stats is not None and message.stats.finish_reason is FinishReason.CONTEXT
    return not full and can_go_on(message)


class ContinueRow(QWidget):
    """For an answer: Continue. For a thought without an answer: Answer now, and Go on thinking."""

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._style, self._request = style, request
        inside = ended_inside_thinking(message)
        reason = message.stats.finish_reason if message.stats else FinishReason.CANCELLED
        sentence = "" if inside or message.state == "failed" else tr(_REASONS[reason])
        self._label = QLabel(sentence, self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setFont(scaled(style.font, _FONT_SCALE))
        palette = self._label.palette()
        palette.setColor(palette.ColorRole.WindowText, style.colours.dim)
        self._label.setPalette(palette)
        self.buttons: list[QPushButton] = []
        if inside:
            self._add(tr("Answer now"), ContinueAnswer(message.id, closes_thinking=True))
            self._add(tr("Go on thinking"), ContinueAnswer(message.id))
        else:
            self._add(tr("Continue"), ContinueAnswer(message.id))

    def _add(self, text: str, intent: ContinueAnswer) -> None:
        button = QPushButton(text, self)
        button.clicked.connect(lambda: self._request(intent))
        self.buttons.append(button)

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        gap = round(self._style.em_px * 0.5)
        sizes = [button.sizeHint() for button in self.buttons]
        height = max(size.height() for size in sizes)
        x = 0
        for button, size in zip(self.buttons, sizes, strict=True):
            button.setGeometry(x, 0, size.width(), height)
            x += size.width() + gap
        left = max(0, width - x)
        text = self._label.heightForWidth(left) if self._label.text() else 0
        self._label.setGeometry(x, max(0, (height - text) // 2), left, max(text, 1))
        self._label.setVisible(bool(self._label.text()))
        self.resize(width, max(height, text))
        return self.height()

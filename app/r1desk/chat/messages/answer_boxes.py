"""Boxes and lines above and below the text of an answer: progress, how it ended, ways on."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import (
    ContextOption,
    ContextOptions,
    ContinueAnswer,
    Regenerate,
    Request,
    TakeWay,
)
from r1desk.chat.values.message import can_go_on, ended_inside_thinking
from r1desk.store import ChatMessage
from r1desk.theme.fonts import scaled

_MAX_ERROR = 4_000
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
_CUT = {
    FinishReason.LENGTH: N_("The answer reached its maximum length."),
    FinishReason.REPETITION: N_("The text only repeated itself, so it was ended."),
    FinishReason.CANCELLED: N_("The answer was stopped."),
    FinishReason.ERROR: N_("The engine failed during the answer."),
}


def note_for(message: ChatMessage) -> str:
    """Why there is no answer below the thinking; empty where there is one."""
    ended = message.state in {"complete", "stopped"}
    if not ended or not message.thinking.strip() or message.content.strip():
        return ""
    return tr(_STILL_THINKING[_reason(message)])


def can_continue(message: ChatMessage) -> bool:
    """Whether a `ContinueRow` belongs below an answer: it was cut, and the context has room."""
    return can_go_on(message) and _reason(message) is not FinishReason.CONTEXT


def _reason(message: ChatMessage) -> FinishReason:
    return message.stats.finish_reason if message.stats else FinishReason.CANCELLED


class StatusLine(QWidget):
    """A line on what the engine does before the first word, with a bar if `fraction` is known."""

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


class _Box(QWidget):
    """A frame around a text that wraps."""

    def __init__(
        self, text: str, style: TextStyle, edge: QColor, fill: QColor | None, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._style, self._edge, self._fill = style, edge, fill
        self._label = QLabel(text, self)
        self._label.setWordWrap(True)
        style.dress(self._label, dim=fill is None)
        self.setAccessibleName(text)

    def text(self) -> str:
        """The text."""
        return self._label.text()

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        pad = round(self._style.em_px * 0.75)
        height = self._label.heightForWidth(width - 2 * pad)
        self._label.setGeometry(pad, pad, width - 2 * pad, height)
        bottom = self._fit_ways(pad, pad + height, width - 2 * pad)
        self.resize(width, bottom + pad)
        return bottom + pad

    def _fit_ways(self, left: int, top: int, width: int) -> int:
        """Lay out what is below the text; returns its lower edge."""
        del left, width
        return top

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._edge, 1))
        if self._fill is not None:
            painter.setBrush(self._fill)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class AnswerNote(_Box):
    """A dim remark in the place of an answer that was not written."""

    def __init__(self, text: str, style: TextStyle, parent: QWidget) -> None:
        super().__init__(text, style, style.colours.edge, None, parent)


class ErrorBox(_Box):
    """An error, in the colour of danger, and a button to try again."""

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        colours = style.colours
        text = (message.error_text or tr("The answer failed."))[:_MAX_ERROR]
        shown = fit.breakable(fit.code(text))
        super().__init__(shown, style, colours.error_edge, colours.error_background, parent)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._again = QPushButton(tr("Try again"), self)
        self._again.clicked.connect(lambda: request(Regenerate(message.id)))
        self.setAccessibleName(tr("Error: {reason}", reason=text))

    def _fit_ways(self, left: int, top: int, width: int) -> int:
        del width
        size = self._again.sizeHint()
        top += round(self._style.em_px * 0.6)
        self._again.setGeometry(left, top, size.width(), size.height())
        return top + size.height()


class ContextCard(_Box):
    """In a full context, where nothing is wrong: a button with its price for each way to go on."""

    def __init__(self, heading: str, style: TextStyle, request: Request, parent: QWidget) -> None:
        colours = style.colours
        super().__init__(heading, style, colours.accent, colours.code_background, parent)
        self._request = request
        self._rows: list[tuple[QPushButton, QLabel]] = []

    @property
    def buttons(self) -> list[QPushButton]:
        """The buttons of the ways, those that cannot be taken too."""
        return [button for button, _ in self._rows]

    def prices(self) -> list[str]:
        """The text below each button."""
        return [label.text() for _, label in self._rows]

    def show_options(self, shown: ContextOptions) -> None:
        """Show these ways in place of those before."""
        self._label.setText(shown.heading)
        self.setAccessibleName(shown.heading)
        for widgets in self._rows:
            for widget in widgets:
                widget.hide()
                widget.deleteLater()
        self._rows = [self._row(option) for option in shown.options]

    def _row(self, option: ContextOption) -> tuple[QPushButton, QLabel]:
        button = QPushButton(option.title, self)
        button.setEnabled(option.possible)
        button.setAccessibleDescription(option.price)
        button.clicked.connect(lambda: self._request(TakeWay(option.way)))
        price = QLabel(option.price, self)
        price.setWordWrap(True)
        self._style.dress(price, scale=0.9)
        button.show()
        price.show()
        return button, price

    def _fit_ways(self, left: int, top: int, width: int) -> int:
        em = self._style.em_px
        for button, price in self._rows:
            size = button.sizeHint()
            top += round(em * 0.6)
            button.setGeometry(left, top, min(width, size.width()), size.height())
            top += size.height() + round(em * 0.15)
            height = price.heightForWidth(width)
            price.setGeometry(left, top, width, height)
            top += height
        return top


class ContinueRow(QWidget):
    """Says why an answer ended early. For an answer: Continue. For a thought: Answer now, Go on."""

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._style, self._request = style, request
        inside = ended_inside_thinking(message)
        sentence = "" if inside or message.state == "failed" else tr(_CUT[_reason(message)])
        self._label = QLabel(sentence, self)
        self._label.setWordWrap(True)
        style.dress(self._label, scale=0.94)
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

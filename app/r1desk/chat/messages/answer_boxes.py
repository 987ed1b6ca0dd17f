"""Boxes and lines above and below an answer: progress, sources, how it ended, ways on."""

from collections.abc import Iterator
from functools import partial

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.attachment_chip import Chip, ChipButton, ChipChoice
from r1desk.chat.text.buttons import text_button
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import (
    ChangePassages,
    ContextOption,
    ContextOptions,
    ContinueAnswer,
    Intent,
    OpenAttachment,
    Regenerate,
    Request,
    TakeWay,
    WithdrawQuestion,
)
from r1desk.chat.values.message import can_go_on, ended_inside_thinking
from r1desk.store import AnswerSources, ChatMessage
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import FittedWidget, filled
from r1desk.widgets.text_label import call_with

_MAX_ERROR = 4_000
_NAMED = 3  # sources that have a chip each
_MOST_SOURCES = 40  # with those of the menu
_TOOLTIP_CHARACTERS = 600
_STILL_THINKING = {
    FinishReason.STOP: N_("The model stopped while thinking and wrote no answer."),
    FinishReason.LENGTH: N_(
        "It reached the longest answer before it finished thinking. Raise “Longest answer”."
    ),
    FinishReason.CONTEXT: N_(
        "The context was full before it finished thinking. Give it a longer context."
    ),
    FinishReason.REPETITION: N_("It began to repeat itself while thinking."),
    FinishReason.CANCELLED: N_("Stopped while thinking."),
    FinishReason.ERROR: N_("The engine failed while the model was thinking."),
}
_CUT = {
    FinishReason.LENGTH: N_("The answer reached the longest length allowed."),
    FinishReason.REPETITION: N_("The text only repeated itself, so it was stopped."),
    FinishReason.ERROR: N_("The engine failed during the answer."),
}


def note_for(message: ChatMessage) -> str:
    """Why there is no answer below the thinking; empty where there is one."""
    ended = message.state in {"complete", "stopped"}
    if not ended or not message.thinking.strip() or message.content.strip():
        return ""
    if ended_inside_thinking(message):
        return tr(_STILL_THINKING[_reason(message)])
    return tr("It finished thinking but wrote no answer.")


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
        height = round(self._style.em_px * 2.1)
        self.resize(width, height)
        return height

    def paintEvent(self, _event: QPaintEvent) -> None:
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


class QueuedRow(FittedWidget):
    """Says that an answer waits for its turn, or waited at the end; takes back or sends it."""

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        if message.state == "queued":
            text = tr("Queued")
            sign, name = "close", tr("Withdraw")
            intent: Intent = WithdrawQuestion(message.id)
        else:
            text, sign, name = message.error_text, "send", tr("Send")
            intent = Regenerate(message.id)
        label = QLabel(text, self)
        style.dress(label, scale=0.94)
        self.setAccessibleName(text)
        self.button = text_button(sign, name, self)
        call_with(self.button.clicked, request, intent)
        row = filled(QHBoxLayout(self), label, self.button, spacing=round(style.em_px * 0.5))
        row.addStretch(1)


class _Box(FittedWidget):
    """A frame around a text that wraps."""

    def __init__(
        self, text: str, style: TextStyle, edge: QColor, fill: QColor | None, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._style, self._edge, self._fill = style, edge, fill
        self.label = QLabel(text, self)
        self.label.setWordWrap(True)
        style.dress(self.label, dim=fill is None)
        self.setAccessibleName(text)
        pad = round(style.em_px * 0.75)
        self._column = filled(QVBoxLayout(self), self.label, spacing=0, margins=(pad,) * 4)

    def paintEvent(self, _event: QPaintEvent) -> None:
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
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        again = QPushButton(tr("Try again"), self)
        call_with(again.clicked, request, Regenerate(message.id))
        self._column.addSpacing(round(style.em_px * 0.6))
        self._column.addWidget(again, 0, Qt.AlignmentFlag.AlignLeft)
        self.setAccessibleName(tr("Error: {reason}", reason=text))


class ContextCard(_Box):
    """In a full context, where nothing is wrong: a button with its price for each way to go on."""

    def __init__(self, heading: str, style: TextStyle, request: Request, parent: QWidget) -> None:
        colours = style.colours
        super().__init__(heading, style, colours.accent, colours.code_background, parent)
        self._request = request
        self.buttons: list[QPushButton] = []  # of the ways, those that cannot be taken too

    def show_options(self, shown: ContextOptions) -> None:
        """Show these ways, once."""
        self.label.setText(shown.heading)
        self.setAccessibleName(shown.heading)
        for option in shown.options:
            self._add_way(option)

    def _add_way(self, option: ContextOption) -> None:
        button = QPushButton(option.title, self)
        button.setEnabled(option.possible)
        button.setAccessibleDescription(option.price)
        call_with(button.clicked, self._request, TakeWay(option.way))
        self.buttons.append(button)
        price = QLabel(option.price, self)
        price.setWordWrap(True)
        self._style.dress(price, scale=0.9)
        self._column.addSpacing(round(self._style.em_px * 0.6))
        self._column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        self._column.addSpacing(round(self._style.em_px * 0.15))
        self._column.addWidget(price)


class ContinueRow(FittedWidget):
    """Says why an answer ended early, and has the ways to go on from its text or its thought."""

    def __init__(
        self, message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        ways = {tr("Continue"): ContinueAnswer(message.id)}
        if inside := ended_inside_thinking(message):
            ways = {
                tr("Answer now"): ContinueAnswer(message.id, closes_thinking=True),
                tr("Keep thinking"): ContinueAnswer(message.id),
            }
        elif not message.content.strip():
            ways = {tr("Answer now"): ContinueAnswer(message.id)}
        row = filled(QHBoxLayout(self), spacing=round(style.em_px * 0.5))
        self.buttons: list[QPushButton] = []
        for text, intent in ways.items():
            button = QPushButton(text, self)
            call_with(button.clicked, request, intent)
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
            self.buttons.append(button)
        cut = None if inside or message.state == "failed" else _CUT.get(_reason(message))
        reason = QLabel(tr(cut) if cut else "")
        reason.setWordWrap(True)
        style.dress(reason, scale=0.94)
        row.addWidget(reason, 1, Qt.AlignmentFlag.AlignVCenter)


def source_chips(message: ChatMessage, sources: AnswerSources, request: Request) -> Iterator[Chip]:
    """Chips with the sources of an answer: a click opens the page, where a sentence is marked.

    Three are named; the menu of the last chip has the others, and asks with other passages.
    """
    choices = list[ChipChoice]()
    for label, source in sources.by_place(message.content).items():
        sentence = sources.sentence(source, message.content)
        opens = partial(request, OpenAttachment(source.passage, sentence))
        if len(choices) < _NAMED:
            tip, name = fit.code(sentence)[:_TOOLTIP_CHARACTERS], N_("Source: {label}")
            yield Chip(label, opens=opens, tip=tip, accessible_name=name)
        choices.append(ChipChoice(fit.code(label), opens))
    left = choices[_NAMED:_MOST_SOURCES]
    text = trn("{n:,} more", "{n:,} more", len(left)) if left else sources.summary(message.content)
    if not sources.whole:
        again = partial(request, ChangePassages(message.id))
        left.append(ChipChoice(tr("Ask again with other passages…"), again))
    if left or not choices:
        more = ChipButton("chevron-down", tr("Sources"), choices=tuple(left))
        yield Chip(text, buttons=(more,) * bool(left), icon="more", accessible_name="{label}")

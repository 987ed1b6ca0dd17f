"""Boxes and lines above and below an answer: progress, sources, how it ended, ways on."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import N_, tr, trn
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.attachment_chip import Chip, ChipButton, ChipChoice
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.intents import (
    ChangePassages,
    ContextOptions,
    ContinueAnswer,
    Intent,
    OpenAttachment,
    Regenerate,
    Request,
    TakeWay,
    WithdrawQuestion,
)
from r1desk.chat.values.prompt import can_go_on, ended_inside_thinking, fills_context
from r1desk.store import AnswerSources, ChatMessage
from r1desk.widgets.layouts import FittedWidget, filled, keep_place
from r1desk.widgets.text_label import ElidedLabel, call_with, selectable_label

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
    """Whether an answer can go on: it was cut, and the context has room."""
    return can_go_on(message) and _reason(message) is not FinishReason.CONTEXT


def _reason(message: ChatMessage) -> FinishReason:
    return message.stats.finish_reason if message.stats else FinishReason.CANCELLED


class StatusLine(FittedWidget):
    """A line on what the engine does before the first word, with a bar if `fraction` is known."""

    def __init__(self, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self.label = ElidedLabel(self)
        style.dress(self.label, scale=0.94)
        self._bar = QProgressBar(self, textVisible=False, maximum=1_000)
        self._bar.setMaximumWidth(round(style.em_px * 18))
        keep_place(self._bar)
        below = round(style.em_px * 0.3)
        filled(QVBoxLayout(self), self.label, self._bar, spacing=4, margins=(0, 0, 0, below))

    def show_status(self, text: str, fraction: float | None = None) -> None:
        self.label.setText(text)
        self._bar.setAccessibleName(text)
        self._bar.setVisible(fraction is not None)
        self._bar.setValue(round(1_000 * (fraction or 0.0)))


class Way(NamedTuple):
    """A button below an answer: what it says and asks for, and what that costs."""

    title: str
    intent: Intent
    price: str = ""
    possible: bool = True


class WaysRow(FittedWidget):
    """Buttons beside each other, and why they are there."""

    def __init__(
        self, text: str, ways: Sequence[Way], style: TextStyle, request: Request, parent: QWidget
    ) -> None:
        super().__init__(parent)
        row = filled(QHBoxLayout(self), spacing=round(style.em_px * 0.5))
        self.buttons = [_way_button(way, request, self) for way in ways]
        for button in self.buttons:
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        self.label = QLabel(text, self)
        self.label.setWordWrap(True)
        style.dress(self.label, scale=0.94)
        row.addWidget(self.label, 1, Qt.AlignmentFlag.AlignVCenter)


class AnswerBox(FittedWidget):
    """A frame around a text, and below it each way to go on with its price.

    `edge` and `fill` are its colours; the text of one without a filling is dim.
    """

    def __init__(
        self,
        text: str,
        ways: Sequence[Way],
        style: TextStyle,
        request: Request,
        parent: QWidget,
        *,
        edge: QColor,
        fill: QColor | None = None,
    ) -> None:
        super().__init__(parent)
        self._edge, self._fill = edge, fill
        self.label = selectable_label(text)
        style.dress(self.label, dim=fill is None)
        self.setAccessibleName(text)
        pad = round(style.em_px * 0.75)
        column = filled(QVBoxLayout(self), self.label, spacing=0, margins=(pad,) * 4)
        self.buttons = [_way_button(way, request, self) for way in ways]
        for way, button in zip(ways, self.buttons, strict=True):
            column.addSpacing(round(style.em_px * 0.6))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
            if way.price:
                price = QLabel(way.price, self)
                price.setWordWrap(True)
                style.dress(price, scale=0.9)
                column.addSpacing(round(style.em_px * 0.15))
                column.addWidget(price)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._edge, 1))
        if self._fill is not None:
            painter.setBrush(self._fill)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


def _way_button(way: Way, request: Request, parent: QWidget) -> QPushButton:
    button = QPushButton(way.title, parent)
    button.setEnabled(way.possible)
    button.setAccessibleDescription(way.price)
    call_with(button.clicked, request, way.intent)
    return button


def note_or_error(
    message: ChatMessage, style: TextStyle, request: Request, parent: QWidget
) -> AnswerBox | None:
    """Why there is no answer, or the error that ended it."""
    colours = style.colours
    if message.state == "failed" and not fills_context(message):
        text = (message.error_text or tr("The answer failed."))[:_MAX_ERROR]
        again = [Way(tr("Try again"), Regenerate(message.id))]
        shown, edge = fit.breakable(fit.code(text)), colours.error_edge
        box = AnswerBox(
            shown, again, style, request, parent, edge=edge, fill=colours.error_background
        )
        box.setAccessibleName(tr("Error: {reason}", reason=text))
        return box
    note = note_for(message)
    return AnswerBox(note, (), style, request, parent, edge=colours.edge) if note else None


def ways_on(  # noqa: PLR0917 - what decides, and what a widget needs
    message: ChatMessage,
    options: ContextOptions | None,
    is_last: bool,
    style: TextStyle,
    request: Request,
    parent: QWidget,
) -> AnswerBox | WaysRow | None:
    """The ways to go on: in a full context those of `options`, from the queue, from a cut."""
    if options or (message.state == "failed" and fills_context(message)):
        text = options.heading if options else message.error_text
        ways = [
            Way(option.title, TakeWay(option.way), option.price, option.possible)
            for option in (options.options if options else ())
        ]
        edge, fill = style.colours.accent, style.colours.code_background
        return AnswerBox(text, ways, style, request, parent, edge=edge, fill=fill)
    if message.state == "queued":
        text, ways = tr("Queued"), [Way(tr("Withdraw"), WithdrawQuestion(message.id))]
    elif message.state == "stopped" and message.error is not None:  # it was never sent
        text, ways = message.error_text, [Way(tr("Send"), Regenerate(message.id))]
    elif is_last and can_continue(message):
        text, ways = _cut_text(message), _ways_from_cut(message)
    else:
        return None
    return WaysRow(text, ways, style, request, parent)


def _ways_from_cut(message: ChatMessage) -> list[Way]:
    go_on = ContinueAnswer(message.id)
    if ended_inside_thinking(message):
        answer = ContinueAnswer(message.id, closes_thinking=True)
        return [Way(tr("Answer now"), answer), Way(tr("Keep thinking"), go_on)]
    return [Way(tr("Continue") if message.content.strip() else tr("Answer now"), go_on)]


def _cut_text(message: ChatMessage) -> str:
    """Why an answer ended early, where nothing else says it."""
    if message.state == "failed" or ended_inside_thinking(message):
        return ""
    cut = _CUT.get(_reason(message))
    return tr(cut) if cut else ""


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

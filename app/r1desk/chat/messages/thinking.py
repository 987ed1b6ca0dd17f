"""The model's thinking: one line with its duration and last words, and all of it when opened."""

import re
import time
import unicodedata
from typing import Final

from PySide6.QtCore import QRectF, QTimer, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from deepseek_r1.core.events import ThinkingEnd
from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.messages.editable_message import MessageTools
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import BUTTON_INSET_EM, text_button
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.text_style import ASIDE_SCALE
from r1desk.chat.values.duration import duration_text
from r1desk.chat.values.intents import AnswerNow, OpenLink
from r1desk.theme.icons import icon
from r1desk.widgets.layouts import FittedWidget, discard, filled
from r1desk.widgets.text_label import ElidedLabel

_TICK_MS = 1_000
_MOMENT_S = 2.0
_END_NOTES = {
    ThinkingEnd.BUDGET: N_("The thinking budget was used up, so it answered."),
    ThinkingEnd.REPETITION: N_("The thinking only repeated itself, so it answered."),
    ThinkingEnd.REQUEST: N_("Ended by “Answer now”."),
}
_LAST_LINE_CHARACTERS = 400  # of the end of the thinking, searched for its last line
_SIGNS: Final = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "infty": "∞", "sqrt": "√", "sum": "∑",
    "prod": "∏", "int": "∫", "to": "→", "rightarrow": "→", "Rightarrow": "⇒", "implies": "⇒",
    "in": "∈", "cup": "∪", "cap": "∩", "subset": "⊂", "partial": "∂", "nabla": "∇", "angle": "∠",
    "circ": "°", "ldots": "…", "cdots": "…", "dots": "…", "quad": " ", "left": "", "right": "",
}  # fmt: skip
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class ThinkingBox(QWidget):
    """A header button; below it, when open, the thinking in smaller and dimmer text."""

    grown = Signal()  # the height may have changed

    def __init__(self, message_id: int, tools: MessageTools, parent: QWidget) -> None:
        super().__init__(parent)
        self._style, self._slicer, self._request, self._opened = tools
        self._message_id, style = message_id, tools.style
        self._body: MarkdownView | None = None
        self._seconds = 0.0
        self._end: ThinkingEnd | None = None
        self._since: float | None = None
        self.text = ""
        self._row = FittedWidget(self)
        self.header = text_button("brain", "", self._row)
        self.header.setObjectName("thinking")
        self.header.clicked.connect(self._on_clicked)
        self.last_line = ElidedLabel(self._row)  # the end of the thinking, while it is folded
        self.end_note = ElidedLabel(self)  # why it was ended from outside
        for label in (self.last_line, self.end_note):
            style.dress(label, scale=ASIDE_SCALE)
            label.hide()
        self.answer_now = QPushButton(tr("Answer now"), self._row)
        self.answer_now.setFont(self.last_line.font())
        self.answer_now.setToolTip(tr("{name} ({keys})", name=tr("Answer now"), keys="Ctrl+Enter"))
        self.answer_now.clicked.connect(self._on_answer_now)
        self.answer_now.hide()
        row = filled(QHBoxLayout(self._row), self.header, spacing=round(style.em_px * 0.4))
        row.addWidget(self.last_line, 1)
        row.addStretch()
        row.addWidget(self.answer_now)
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._name_header)
        self._name_header()

    @property
    def is_open(self) -> bool:
        """Whether the user wants to see it, also in the next widget of this message."""
        return self._message_id in self._opened

    def load(
        self, text: str, seconds: float, end: ThinkingEnd | None = None, *, final: bool = True
    ) -> None:
        """Show thinking that is over, for the reason `end`, or goes on if it is not `final`."""
        self.text = text
        self._seconds = seconds
        self._end = end
        self._show_last_line()
        self._name_header()
        if self.is_open and self._body is None:
            self._show_body(final=final)

    @Slot()
    def _on_answer_now(self) -> None:
        self.answer_now.setEnabled(False)  # it takes a moment
        self._request(AnswerNow())

    def feed(self, text: str) -> None:
        if self._since is None:
            self._since = time.monotonic()
            self._timer.start()
            self.answer_now.setEnabled(True)
            self.answer_now.show()
            self._name_header()
        self.text += text
        if self._body:
            self._body.feed(text)
        elif self.is_open:
            self._show_body(final=False)
        self._show_last_line()

    def _show_last_line(self) -> None:
        line = "" if self.is_open else fit.prose(readable(last_line_of(self.text)))
        note = "" if self._since is not None or self._end is None else _END_NOTES.get(self._end, "")
        for label, text in ((self.last_line, line), (self.end_note, tr(note) if note else "")):
            label.setText(text)
            label.setVisible(bool(text))

    def finish(self, seconds: float, end: ThinkingEnd | None = None) -> None:
        """It took `seconds` and was over for the reason `end`."""
        self._timer.stop()
        self._since = None
        self._seconds = seconds
        self._end = end or self._end
        self.answer_now.hide()
        self._show_last_line()
        if self._body:
            self._body.finish()
        self._name_header()

    def replace(self, text: str, seconds: float) -> None:
        self.load(text, seconds, self._end)
        if self._body:
            discard(self._body)
            self._body = None
            self._show_body(final=True)

    @Slot()
    def _name_header(self) -> None:
        if self._since is not None:
            seconds = self._seconds + time.monotonic() - self._since
            text = tr("Thinking… {duration}", duration=duration_text(seconds))
        elif self._seconds <= 0:
            text = tr("Thoughts")
        elif self._seconds < _MOMENT_S:
            text = tr("Thought for a moment")
        else:
            text = tr("Thought for {duration}", duration=duration_text(self._seconds))
        self.header.setText(text)
        self.header.setIcon(icon("chevron-down" if self.is_open else "chevron-right", "text_dim"))
        self.header.setAccessibleName(text)
        self.header.setToolTip(tr("Hide the thinking") if self.is_open else tr("Show the thinking"))

    @Slot()
    def _on_clicked(self) -> None:
        self._opened ^= {self._message_id}
        self._show_last_line()
        self._name_header()
        self._show_body(final=self._since is None)

    def _show_body(self, *, final: bool) -> None:
        if self.is_open and self._body is None:
            self._body = MarkdownView(self._style.as_aside(), self._slicer, self)
            self._body.grown.connect(self.grown)
            self._body.link_chosen.connect(self._on_link)
            self._body.load(self.text.strip("\n") if final else self.text, final=final)
        if self._body:
            self._body.setVisible(self.is_open)
        self.update()
        self.grown.emit()

    @Slot(str)
    def _on_link(self, address: str) -> None:
        self._request(OpenLink(address))

    def fit_width(self, width: int) -> int:
        em = self._style.em_px
        inset = round(em * BUTTON_INSET_EM)
        self._row.move(-inset, 0)
        height = self._row.fit_width(width + inset)
        if self.is_open and self._body:
            indent, gap = round(em * 0.9), round(em * 0.3)
            self._body.move(indent, height + gap)
            height += gap + self._body.fit_width(width - indent)
        if not self.end_note.isHidden():
            line, left, gap = self.end_note.sizeHint().height(), round(em * 0.25), round(em * 0.35)
            self.end_note.setGeometry(left, height + gap, max(0, width - left), line)
            height += line + 2 * gap
        self.resize(width, height)
        return height

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A quiet line beside the open text."""
        if self.is_open and self._body:
            painter = QPainter(self)
            box = QRectF(self._body.geometry())
            painter.fillRect(QRectF(4, box.top(), 2, box.height()), self._style.colours.edge)


def last_line_of(text: str) -> str:
    """The last line with any words of the end of `text`; the newest words of a long one."""
    lines = [line.strip() for line in text[-_LAST_LINE_CHARACTERS:].splitlines()]
    line = next((line for line in reversed(lines) if any(c.isalnum() for c in line)), "")
    ends = [line.rfind(mark, 0, -1) for mark in (". ", "? ", "! ", "。", "？", "！")]
    return line[max(ends) + 1 :].strip() if len(line) > 80 and max(ends) > 0 else line


def _sign(command: re.Match[str]) -> str:
    name = command[1]
    if name in _SIGNS:
        return _SIGNS[name]
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name}")
    except KeyError:
        return command[0]


def _power(found: re.Match[str]) -> str:
    return (found[1] or found[2]).translate(_POWERS)


_STEPS: Final = (
    (re.compile(r"\$\$|\*\*|\\[()\[\]]|\\(?:text|mathrm|mathbf|boxed|operatorname) *(?=\{)"), ""),
    (re.compile(r"\$(?! )(?=[^$\\^_=]*[\\^_=]|\w\$)([^$]+)(?<! )\$"), r"\1"),
    (re.compile(r"\$(?=[^$ \d][^$\\^_=]*[\\^_=][^$]*\Z)"), ""),  # its end has not come
    (re.compile(r"\^(?:([0-9])|\{([0-9]+)\})"), _power),
    (re.compile(r"\\([A-Za-z]+)"), _sign),
    (re.compile(r"√ *\{(\w*[^\w{}][^{}]*)\}"), r"√(\1)"),
    (re.compile(r"√ *\{(\w*)\}"), r"√\1"),
    (re.compile(r"\\[dt]?frac *\{(√?\w+)\} *\{(√?\w+)\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac *\{([^{}]*)\} *\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\[,;:! ]|\\\\|&"), " "),
    (re.compile(r"[{}]"), ""),
)


def readable(line: str) -> str:
    r"""`line` without delimiters and commands: `\(5^2 \times \frac{1}{2}\)` is "5² × 1/2"."""
    if not any(sign in line for sign in ("\\", "$", "**")):
        return line
    for pattern, by in _STEPS:
        line = pattern.sub(by, line)
    return line

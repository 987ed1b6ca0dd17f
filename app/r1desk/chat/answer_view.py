"""One answer: thinking, status, text, what went wrong, and the row under it."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.chat.body import MarkdownBody
from r1desk.chat.buttons import BUTTON_INSET_EM
from r1desk.chat.footer import Footer
from r1desk.chat.ink import Ink
from r1desk.chat.slices import Slicer
from r1desk.chat.status import StatusLine
from r1desk.chat.thinking import ThinkingBox
from r1desk.chat.values import ShownMessage

_MAX_ERROR = 4_000


class ErrorBox(QWidget):
    """What went wrong, and a button to try again."""

    again_chosen = Signal()

    def __init__(self, words: str, ink: Ink, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._label = QLabel(fit.breakable(fit.code(words[:_MAX_ERROR])), self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        palette = self._label.palette()
        palette.setColor(palette.ColorRole.WindowText, ink.colours.text)
        self._label.setPalette(palette)
        self._again = QPushButton(tr("Try again"), self)
        self._again.clicked.connect(self.again_chosen)
        self.setAccessibleName(tr("Error: {words}", words=words[:_MAX_ERROR]))

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        pad = round(self._ink.em_px * 0.75)
        button = self._again.sizeHint()
        inner = width - 2 * pad
        height = self._label.heightForWidth(inner)
        self._label.setGeometry(pad, pad, inner, height)
        below = pad + height + round(pad * 0.8)
        self._again.setGeometry(pad, below, button.width(), button.height())
        total = below + button.height() + pad
        self.resize(width, total)
        return total

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A box in the colour of danger."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._ink.colours.error_edge, 1))
        painter.setBrush(self._ink.colours.error_background)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)


class AnswerView(QWidget):
    """Signals carry what the user asked for; `grown` says that the height may have changed."""

    grown = Signal()
    link_chosen = Signal(str)
    regenerate_chosen = Signal()
    sibling_chosen = Signal(int)

    def __init__(self, message: ShownMessage, ink: Ink, slicer: Slicer, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._slicer = slicer
        self._message = message
        self._thinking: ThinkingBox | None = None
        self._status: StatusLine | None = None
        self._error: ErrorBox | None = None
        self._footer: Footer | None = None
        self._body = self._new_body()
        self.setAccessibleName(tr("Answer"))
        if message.thinking:
            self._thinking_box().load(message.thinking, message.thinking_s)
        if message.state == "streaming":
            self._body.load(message.content, final=False)
        else:
            self._body.load(message.content)
            self._conclude(message)

    # ---- streaming

    def tell(self, words: str, fraction: float | None) -> None:
        """Show what the engine is doing."""
        if self._status is None:
            self._status = StatusLine(self._ink, self)
            self._status.show()
        self._status.tell(words, fraction)

    def feed_thinking(self, text: str) -> None:
        """More thinking."""
        self._forget_status()
        self._thinking_box().feed(text)

    def finish_thinking(self, seconds: float) -> None:
        """The thinking is over."""
        if self._thinking:
            self._thinking.finish(seconds)

    def feed(self, text: str) -> None:
        """More of the answer."""
        self._forget_status()
        self._body.feed(text)

    def finish(self, message: ShownMessage) -> None:
        """The answer is complete: make what is drawn exactly what is stored."""
        self._message = message
        self._forget_status()
        if message.thinking or self._thinking:
            box = self._thinking_box()
            box.finish(message.thinking_s)
            if box.text != message.thinking:
                box.replace(message.thinking, message.thinking_s)
        if self._body.source == message.content:
            self._body.finish()
        else:
            old = self._body
            self._body = self._new_body()
            self._body.load(message.content)
            self._body.show()
            old.hide()
            old.deleteLater()
        self._conclude(message)

    # ---- parts

    @property
    def thinking(self) -> ThinkingBox | None:
        """The box of the thinking, if there is any."""
        return self._thinking

    @property
    def body(self) -> MarkdownBody:
        """The text."""
        return self._body

    def _new_body(self) -> MarkdownBody:
        body = MarkdownBody(self._ink, self._slicer, self)
        body.grown.connect(self.grown)
        body.link_chosen.connect(self.link_chosen)
        return body

    def _thinking_box(self) -> ThinkingBox:
        if self._thinking is None:
            self._thinking = ThinkingBox(self._ink, self._slicer, self)
            self._thinking.grown.connect(self.grown)
            self._thinking.link_chosen.connect(self.link_chosen)
            self._thinking.show()
        return self._thinking

    def _forget_status(self) -> None:
        if self._status:
            self._status.hide()
            self._status.deleteLater()
            self._status = None

    def _conclude(self, message: ShownMessage) -> None:
        for old in (self._error, self._footer):
            if old:
                old.hide()
                old.deleteLater()
        self._error = None
        if message.state == "failed":
            words = message.error_text or tr("The answer failed.")
            self._error = ErrorBox(words, self._ink, self)
            self._error.again_chosen.connect(self.regenerate_chosen)
            self._error.show()
        self._footer = Footer(message, self._ink, self)
        self._footer.regenerate_chosen.connect(self.regenerate_chosen)
        self._footer.sibling_chosen.connect(self.sibling_chosen)
        self._footer.show()

    # ---- geometry

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        em = self._ink.em_px
        y = 0
        body = self._body if self._body.source else None
        parts = ((self._thinking, 0.45), (self._status, 0.3), (body, 0.45), (self._error, 0.45))
        for part, gap in parts:
            if part:
                part.move(0, y)
                y += part.fit_width(width) + round(gap * em)
        if self._footer:
            inset = round(em * BUTTON_INSET_EM)
            self._footer.move(-inset, y)
            y += self._footer.fit_width(width + inset)
        self.resize(width, y)
        return y

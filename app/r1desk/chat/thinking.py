"""The model's reasoning: one line that says how long, and the text when asked for."""

from __future__ import annotations

import time

from PySide6.QtCore import QRectF, QTimer, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from deepseek_r1.core.words import tr
from r1desk.chat.body import MarkdownBody
from r1desk.chat.buttons import BUTTON_INSET_EM, text_button
from r1desk.chat.ink import Ink
from r1desk.chat.slices import Slicer
from r1desk.theme.icons import icon

_TICK_MS = 1_000
_MOMENT_S = 2.0


class ThinkingBox(QWidget):
    """A header button; below it, when open, the thinking in smaller and dimmer text.

    Signals:
        grown: the height may have changed.
        link_chosen: an http(s) address was activated.
    """

    grown = Signal()
    link_chosen = Signal(str)

    def __init__(self, ink: Ink, slicer: Slicer, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink = ink
        self._slicer = slicer
        self._body: MarkdownBody | None = None
        self._seconds = 0.0
        self._since: float | None = None
        self._open = False
        self.text = ""
        self._header = text_button("brain", "", self)
        self._header.setObjectName("thinking")
        self._header.clicked.connect(self._on_clicked)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._name_header)
        self._name_header()

    @property
    def is_open(self) -> bool:
        """True while the text is shown."""
        return self._open

    def header_text(self) -> str:
        """The line people read."""
        return self._header.text()

    def load(self, text: str, seconds: float) -> None:
        """Show thinking that is over."""
        self.text = text
        self._seconds = seconds
        self._name_header()

    def feed(self, text: str) -> None:
        """More of it arrives."""
        if self._since is None:
            self._since = time.monotonic()
            self._timer.start()
            self._name_header()
        self.text += text
        if self._body:
            self._body.feed(text)

    def finish(self, seconds: float) -> None:
        """It took `seconds`."""
        self._timer.stop()
        self._since = None
        self._seconds = seconds
        if self._body:
            self._body.finish()
        self._name_header()

    def replace(self, text: str, seconds: float) -> None:
        """Show other text than what was fed."""
        self.load(text, seconds)
        if self._body:
            self._body.hide()
            self._body.deleteLater()
            self._body = None
            self._show_body()

    @Slot()
    def _name_header(self) -> None:
        if self._since is not None:
            words = tr("Thinking… {seconds} s", seconds=int(time.monotonic() - self._since))
        elif self._seconds <= 0:
            words = tr("Thoughts")
        elif self._seconds < _MOMENT_S:
            words = tr("Thought for a moment")
        else:
            words = tr("Thought for {seconds} s", seconds=f"{self._seconds:.1f}")
        self._header.setText(words)
        self._header.setIcon(icon("chevron-down" if self.is_open else "chevron-right", "text_dim"))
        self._header.setAccessibleName(words)
        action = tr("Hide the thinking") if self.is_open else tr("Show the thinking")
        self._header.setToolTip(action)
        self._header.resize(self._header.sizeHint())

    @Slot()
    def _on_clicked(self) -> None:
        self._open = not self._open
        self._name_header()
        self._show_body()

    def _show_body(self) -> None:
        if self._open and self._body is None:
            self._body = MarkdownBody(self._ink.as_aside(), self._slicer, self)
            self._body.grown.connect(self.grown)
            self._body.link_chosen.connect(self.link_chosen)
            if self._since is None:
                self._body.load(self.text.strip("\n"))
            else:
                self._body.load(self.text, final=False)
        if self._body:
            self._body.setVisible(self._open)
        self.update()
        self.grown.emit()

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        header = self._header.sizeHint()
        left = self._ink.em_px * BUTTON_INSET_EM
        self._header.setGeometry(-round(left), 0, min(width, header.width()), header.height())
        height = header.height()
        if self.is_open and self._body:
            indent = round(self._ink.em_px * 0.9)
            gap = round(self._ink.em_px * 0.3)
            self._body.move(indent, height + gap)
            height += gap + self._body.fit_width(width - indent)
        self.resize(width, height)
        return height

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A quiet line beside the open text."""
        if self.is_open and self._body:
            painter = QPainter(self)
            box = QRectF(self._body.geometry())
            painter.fillRect(QRectF(4, box.top(), 2, box.height()), self._ink.colours.edge)

"""The box a message is written in."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QGuiApplication,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat.buttons import RoundButton, text_button
from r1desk.chat.colours import ChatColours
from r1desk.chat.composer_field import LARGE_PASTE, ComposerField
from r1desk.chat.ink import column_span
from r1desk.layouts import put_inside

_MAX_LINES = 8
_DRAFT_MS = 500
_SHEET = """QPlainTextEdit, QPlainTextEdit:focus, QPlainTextEdit:disabled {
  border: none; padding: 0; background: transparent; }"""


class Composer(QWidget):
    """Grows with its text to eight lines; one button sends or stops.

    Signals:
        submitted: the text to send; the box is empty then.
        stop_requested: the button or Escape while busy.
        draft_changed: the text, half a second after the last change.
        edit_last_requested: Up in the empty box.
    """

    submitted = Signal(str)
    stop_requested = Signal()
    draft_changed = Signal(str)
    edit_last_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self._reason = ""
        self._large = ""
        self._told_draft = ""
        self.setStyleSheet(_SHEET)
        self._field = ComposerField(self)
        self._field.setAccessibleName(tr("Message"))
        self._field.setPlaceholderText(tr("Write a message"))
        self._field.sent.connect(self._on_sent)
        self._field.stopped.connect(self._on_stop)
        self._field.wanted_last.connect(self.edit_last_requested)
        self._field.large_pasted.connect(self._on_large_pasted)
        self._field.textChanged.connect(self._on_changed)
        self._field.focus_moved.connect(self.update)  # the frame says where the keys go
        self._chip = text_button("close", "", self)
        self._chip.setToolTip(tr("Remove the pasted text"))
        self._chip.clicked.connect(self._on_chip)
        self._chip.hide()
        self._button = self._make_button()
        self._draft_timer = QTimer(self)
        self._draft_timer.setSingleShot(True)
        self._draft_timer.setInterval(_DRAFT_MS)
        self._draft_timer.timeout.connect(self._tell_draft)
        self._arrange()
        self.setFocusProxy(self._field)
        self._refresh()

    def _make_button(self) -> RoundButton:
        button = RoundButton("send", tr("Send"), self, filled=True)
        button.clicked.connect(self._on_button)
        return button

    def _arrange(self) -> None:
        em = self.fontMetrics().height()
        column = QVBoxLayout(self)
        self._set_margins()
        column.setSpacing(4)
        column.addWidget(self._chip, 0, Qt.AlignmentFlag.AlignLeft)
        row = put_inside(column, QHBoxLayout())
        row.setSpacing(round(em * 0.4))
        row.addWidget(self._field, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._button, 0, Qt.AlignmentFlag.AlignBottom)

    def _side(self) -> int:
        """The space left and right of the box, which is as wide as the messages above it."""
        return column_span(self.width(), self.fontMetrics().height())[0]

    def _set_margins(self) -> None:
        em = self.fontMetrics().height()
        pad, side = round(em * 0.5), self._side()
        if layout := self.layout():
            layout.setContentsMargins(side + round(em * 0.9), pad, side + pad, pad)

    # ---- text

    def text(self) -> str:
        """All that would be sent."""
        typed = self._field.toPlainText()
        return f"{typed}\n\n{self._large}" if typed and self._large else typed or self._large

    def set_text(self, text: str) -> None:
        """Put a draft into the box; this is not a change of the user's."""
        self._large = text if len(text) > LARGE_PASTE else ""
        self._field.setPlainText("" if self._large else text)
        self._field.moveCursor(self._field.textCursor().MoveOperation.End)
        self._told_draft = self.text()
        self._draft_timer.stop()
        self._refresh()

    def give_back(self, text: str) -> None:
        """What could not be sent, before whatever was written since."""
        since = self.text()
        self.set_text(f"{text}\n\n{since}" if since else text)

    def clear(self) -> None:
        """Empty the box."""
        self.set_text("")

    def flush_draft(self) -> None:
        """Tell an untold draft now: the box is about to show something else."""
        if self._draft_timer.isActive():
            self._draft_timer.stop()
            self._tell_draft()

    @property
    def editor(self) -> QWidget:
        """The widget that takes the keys."""
        return self._field

    def submit(self) -> None:
        """Send what is in the box, as Enter does."""
        self._on_sent()

    # ---- state

    def set_busy(self, busy: bool) -> None:
        """Turn Send into Stop while an answer is written."""
        self._busy = busy
        self._refresh()

    def set_enabled_reason(self, reason: str | None) -> None:
        """Why nothing can be sent now, or None. Writing stays possible."""
        self._reason = reason or ""
        self._refresh()

    def _refresh(self) -> None:
        name, label = ("stop", tr("Stop")) if self._busy else ("send", tr("Send"))
        can_send = bool(self.text().strip()) and not self._reason
        self._button.setEnabled(self._busy or can_send)
        self._button.set_action(name, label)
        hint = tr("Stop (Esc)") if self._busy else self._reason or tr("Send (Enter)")
        self._button.setToolTip(hint)
        self._field.setPlaceholderText(self._reason or tr("Write a message"))
        self._chip.setVisible(bool(self._large))
        if self._large:
            count = f"{len(self._large):,}"
            self._chip.setText(tr("Pasted text, {count} characters", count=count))
            self._chip.setAccessibleName(
                tr("Remove the pasted text of {count} characters", count=count)
            )
        self._fit_height()

    def _fit_height(self) -> None:
        lines = min(max(1, math.ceil(self._field.document().size().height())), _MAX_LINES)
        line = self._field.fontMetrics().lineSpacing()
        policy = Qt.ScrollBarPolicy
        scrolls = self._field.document().size().height() > _MAX_LINES
        self._field.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if scrolls else policy.ScrollBarAlwaysOff
        )
        margin = 2 * self._field.document().documentMargin()
        self._field.setFixedHeight(math.ceil(lines * line + margin) + 2)

    # ---- what the user does

    @Slot()
    def _on_changed(self) -> None:
        self._refresh()
        self._draft_timer.start()

    @Slot()
    def _tell_draft(self) -> None:
        text = self.text()
        if text != self._told_draft:
            self._told_draft = text
            self.draft_changed.emit(text)

    @Slot()
    def _on_button(self) -> None:
        if self._busy:
            self.stop_requested.emit()
        else:
            self._on_sent()

    @Slot()
    def _on_sent(self) -> None:
        text = self.text()
        if self._busy or self._reason or not text.strip():
            return
        self.clear()
        self.submitted.emit(text)

    @Slot()
    def _on_stop(self) -> None:
        if self._busy:
            self.stop_requested.emit()

    @Slot(str)
    def _on_large_pasted(self, text: str) -> None:
        self._large = f"{self._large}\n\n{text}" if self._large else text
        self._on_changed()

    @Slot()
    def _on_chip(self) -> None:
        self._large = ""
        self._on_changed()
        self._field.setFocus()

    # ---- what Qt tells

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width wraps anew."""
        super().resizeEvent(event)
        self._set_margins()
        self._fit_height()

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """All of the box is there to write in."""
        self._field.setFocus()

    def changeEvent(self, event: QEvent) -> None:
        """Other colours."""
        super().changeEvent(event)
        if event.type() in {QEvent.Type.PaletteChange, QEvent.Type.FontChange}:
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A rounded box, framed in the accent while it has the keyboard."""
        colours = ChatColours.from_palette(QGuiApplication.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self._field.hasFocus()
        width = 2.0 if focused else 1.0
        painter.setPen(QPen(colours.accent if focused else colours.dim, width))
        painter.setBrush(colours.background)
        half = width / 2
        painter.drawRoundedRect(self.box().adjusted(half, half, -half, -half), 14, 14)

    def box(self) -> QRectF:
        """The frame's outer edge."""
        return QRectF(self.rect()).adjusted(self._side(), 0, -self._side(), 0)

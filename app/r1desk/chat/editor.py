"""Editing a message that was sent, in its place."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetricsF, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.layouts import put_inside
from r1desk.theme.stylesheet import set_role

_MIN_LINES = 3
_MAX_LINES = 16


class PlainEdit(QPlainTextEdit):
    """A plain text box that never wraps a word too long to wrap in time."""

    def setPlainText(self, text: str) -> None:
        """Show `text`."""
        self.guard(text)
        super().setPlainText(text)

    def guard(self, text: str) -> None:
        """Choose the wrapping that `text` can bear."""
        longest = max((len(line) for line in text.split("\n")), default=0)
        mode = QPlainTextEdit.LineWrapMode
        long = longest > fit.MAX_WORD * 5
        self.setLineWrapMode(mode.NoWrap if long else mode.WidgetWidth)


class _Field(PlainEdit):
    sent = Signal()
    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+Enter sends, Escape leaves."""
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if control and event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.sent.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class MessageEditor(QWidget):
    """A text box with Send and Cancel.

    Signals:
        sent: the new text.
        left: nothing was changed.
    """

    sent = Signal(str)
    left = Signal()

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._field = _Field(self)
        self._field.setPlainText(text)
        self._field.setAccessibleName(tr("Edit your message"))
        self._field.moveCursor(self._field.textCursor().MoveOperation.End)
        self._field.sent.connect(self._on_sent)
        self._field.left.connect(self.left)
        self._send = QPushButton(tr("Send"), self)
        self._send.setToolTip(tr("Ctrl+Enter"))
        set_role(self._send, "primary")
        self._send.clicked.connect(self._on_sent)
        cancel = QPushButton(tr("Cancel"), self)
        cancel.setToolTip(tr("Esc"))
        cancel.clicked.connect(self.left)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._field, 1)
        row = put_inside(column, QHBoxLayout())
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self._send)
        self.setFocusProxy(self._field)

    def text(self) -> str:
        """What is in the box."""
        return self._field.toPlainText()

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        lines = min(max(self._field.document().blockCount(), _MIN_LINES), _MAX_LINES)
        line = QFontMetricsF(self._field.font()).lineSpacing()
        height = round((lines + 1) * line) + self._send.sizeHint().height() + 18
        self.resize(QSize(width, height))
        return height

    @Slot()
    def _on_sent(self) -> None:
        text = self._field.toPlainText()
        if text.strip():
            self.sent.emit(text)

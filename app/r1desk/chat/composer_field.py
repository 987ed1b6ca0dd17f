"""The text box of the composer: which keys send, and what a paste does."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QFocusEvent, QInputMethodEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QWidget

from r1desk.chat.editor import PlainEdit
from r1desk.chat.quiet_cursor import QuietCursor

LARGE_PASTE = 20_000  # characters; from here on a paste is kept beside the box


class ComposerField(PlainEdit):
    """The text box; knows which keys send.

    Signals:
        sent, stopped, wanted_last: Enter, Escape, and Up in an empty box.
        large_pasted: a paste too large to be edited here.
        focus_moved: it has the keyboard now, or no more.
    """

    sent = Signal()
    stopped = Signal()
    wanted_last = Signal()
    large_pasted = Signal(str)
    focus_moved = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._composing = False
        self._cursor = QuietCursor(self)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(2)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The cursor blinks for a while."""
        self._cursor.wake()
        super().focusInEvent(event)
        self.focus_moved.emit()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The frame around the box goes."""
        super().focusOutEvent(event)
        self.focus_moved.emit()

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Remember whether a word is still being composed."""
        self._cursor.wake()
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter sends, Shift+Enter breaks the line, unless an input method is at work."""
        self._cursor.wake()
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            if self._composing:
                event.ignore()
            elif shift:
                self.insertPlainText("\n")
                self.ensureCursorVisible()
            else:
                self.sent.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.stopped.emit()
        elif event.key() == Qt.Key.Key_Up and self.document().isEmpty():
            self.wanted_last.emit()
        else:
            super().keyPressEvent(event)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Plain text only; a large text goes beside the box."""
        text = source.text()
        if len(text) > LARGE_PASTE:
            self.large_pasted.emit(text)
        else:
            super().insertFromMimeData(source)

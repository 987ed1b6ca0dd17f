"""Editing a message that was sent, in its place."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetricsF, QInputMethodEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.theme.theme import set_role
from r1desk.widgets.layouts import filled, put_inside

_MIN_LINES = 3
_MAX_LINES = 16


class PlainEdit(QPlainTextEdit):
    """A plain text box that never wraps a word too long to wrap in time."""

    def setPlainText(self, text: str) -> None:
        """Show `text`, in the wrapping that it can bear."""
        longest = max((len(line) for line in text.split("\n")), default=0)
        mode = QPlainTextEdit.LineWrapMode
        long = longest > fit.MAX_WORD * 5
        self.setLineWrapMode(mode.NoWrap if long else mode.WidgetWidth)
        super().setPlainText(text)


_ENTER = {Qt.Key.Key_Return, Qt.Key.Key_Enter}


def takes_escape(event: QEvent) -> bool:
    """Take Escape from the window, whose shortcut it is for stopping an answer."""
    is_escape = (
        isinstance(event, QKeyEvent)
        and event.type() == QEvent.Type.ShortcutOverride
        and event.key() == Qt.Key.Key_Escape
        and event.modifiers() == Qt.KeyboardModifier.NoModifier
    )
    if is_escape:
        event.accept()
    return is_escape


class MessageField(PlainEdit):
    """A text box in which Enter sends and Shift+Enter breaks the line."""

    sent = Signal()  # Enter or Ctrl+Enter
    escaped = Signal()  # Escape

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._composing = False  # an input method shows a word that is not chosen yet

    def event(self, event: QEvent) -> bool:
        """Take Escape, and Ctrl+Del in a text; leave the window an idle Ctrl+Z."""
        keys, document = QKeySequence.StandardKey, self.document()
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.matches(keys.Undo) and not document.isUndoAvailable():
                event.ignore()
                return False
            if event.matches(keys.DeleteEndOfWord) and not document.isEmpty():
                event.accept()
                return True
        return takes_escape(event) or super().event(event)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter belongs to the input method while it composes a word."""
        if event.key() in _ENTER:
            if self._composing:
                event.ignore()
            elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.insertPlainText("\n")
                self.ensureCursorVisible()
            else:
                self.sent.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        else:
            super().keyPressEvent(event)


def _saves(event: QKeyEvent) -> bool:
    return event.key() in _ENTER and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)


class AnswerField(MessageField):
    """A text box in which Enter breaks the line and Ctrl+Enter saves."""

    def event(self, event: QEvent) -> bool:
        """Take Ctrl+Enter from the window, whose shortcut it is for *Answer now*."""
        override = event.type() == QEvent.Type.ShortcutOverride
        if override and isinstance(event, QKeyEvent) and _saves(event):
            event.accept()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter without Ctrl is a letter like others."""
        if event.key() in _ENTER and not _saves(event):
            PlainEdit.keyPressEvent(self, event)
        else:
            super().keyPressEvent(event)


class MessageEditor(QWidget):
    """A text box with Send and Cancel, which Esc presses too."""

    sent = Signal(str)  # the new text

    def __init__(self, text: str, parent: QWidget, *, saves: bool = False) -> None:
        """`saves`: an answer is changed; Enter breaks the line there, Ctrl+Enter saves."""
        super().__init__(parent)
        self._field = AnswerField(self) if saves else MessageField(self)
        self._field.setPlainText(text)
        self._field.setAccessibleName(tr("Edit the answer") if saves else tr("Edit your message"))
        self._field.moveCursor(self._field.textCursor().MoveOperation.End)
        self._field.sent.connect(self._on_sent)
        self._send = QPushButton(tr("Save as a version") if saves else tr("Send"), self)
        self._send.setToolTip(tr("Ctrl+Enter") if saves else tr("Enter"))
        set_role(self._send, "primary")
        self._send.clicked.connect(self._on_sent)
        self.cancel = QPushButton(tr("Cancel"), self)
        self.cancel.setToolTip(tr("Esc"))
        self._field.escaped.connect(self.cancel.click)
        column = filled(QVBoxLayout(self))
        column.addWidget(self._field, 1)
        row = put_inside(column, QHBoxLayout())
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self._send)
        self.setFocusProxy(self._field)

    def text(self) -> str:
        return self._field.toPlainText()

    def fit_width(self, width: int) -> int:
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

"""The text boxes that one writes in: the composer's, and that of a message that was sent."""

import math

from PySide6.QtCore import QEvent, QMimeData, QRegularExpression, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QFocusEvent,
    QFontMetricsF,
    QImage,
    QInputMethodEvent,
    QKeyEvent,
    QKeySequence,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.values.intents import AttachFiles, AttachPicture, EditLastQuestion, Request
from r1desk.theme.theme import set_role
from r1desk.widgets.layouts import filled, put_inside

_MIN_LINES = 3
_MAX_LINES = 16
_GROWS_TO = 8  # lines of the composer


class PlainEdit(QPlainTextEdit):
    """A plain text box that never wraps a word too long to wrap in time."""

    def setPlainText(self, text: str) -> None:
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
    """A text box in which Enter sends and Shift+Enter breaks the line.

    With `saves`, Enter breaks the line and Ctrl+Enter saves.
    """

    sent = Signal()  # Enter or Ctrl+Enter
    escaped = Signal()  # Escape

    def __init__(self, parent: QWidget, *, saves: bool = False) -> None:
        super().__init__(parent)
        self._saves = saves
        self._composing = False  # an input method shows a word that is not chosen yet

    def event(self, event: QEvent) -> bool:
        """Take Escape, Ctrl+Del in a text, a Ctrl+Enter that saves; leave an idle Ctrl+Z."""
        keys, document = QKeySequence.StandardKey, self.document()
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if event.matches(keys.Undo) and not document.isUndoAvailable():
                event.ignore()
                return False
            deletes = event.matches(keys.DeleteEndOfWord) and not document.isEmpty()
            if deletes or (self._saves and self._sends(event)):
                event.accept()
                return True
        return takes_escape(event) or super().event(event)

    def _sends(self, event: QKeyEvent) -> bool:
        control = Qt.KeyboardModifier.ControlModifier
        return event.key() in _ENTER and (not self._saves or bool(event.modifiers() & control))

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._composing = bool(event.preeditString())
        super().inputMethodEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter belongs to the input method while it composes a word."""
        if self._sends(event):
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


class MessageEditor(QWidget):
    """A text box with Send and Cancel, which Esc presses too."""

    sent = Signal(str)  # the new text

    def __init__(self, text: str, parent: QWidget, *, saves: bool = False) -> None:
        """`saves`: an answer is changed; Enter breaks the line there, Ctrl+Enter saves."""
        super().__init__(parent)
        self._field = MessageField(self, saves=saves)
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


SLASHES = ("/", "、")
_FIELD = QRegularExpression(
    r"\{\{\w[^{}]{0,39}\}\}", QRegularExpression.PatternOption.UseUnicodePropertiesOption
)
LARGE_PASTE = 20_000  # characters; from here on a paste is kept beside the box


class ComposerField(MessageField):
    """The composer's box: a prompt's fields, and what is pasted or dropped."""

    slash_typed = Signal()  # a slash, or what its key types in Chinese, is all that is in the box
    large_pasted = Signal(str)  # a paste too large to be edited here

    def __init__(self, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        self._request = request
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(2)

    def fit_height(self) -> None:
        """As high as its text, up to eight lines; more scroll."""
        policy, lines = Qt.ScrollBarPolicy, math.ceil(self.document().size().height())
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if lines > _GROWS_TO else policy.ScrollBarAlwaysOff
        )
        shown = min(max(1, lines), _GROWS_TO) * self.fontMetrics().lineSpacing()
        self.setFixedHeight(math.ceil(shown + 2 * self.document().documentMargin()) + 2)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._show_focus()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._show_focus()

    def _show_focus(self) -> None:
        if (frame := self.parentWidget()) is not None:
            frame.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up in the empty box asks for the last message; the rest is the box's own."""
        was_empty = self.document().isEmpty()
        if event.key() == Qt.Key.Key_Up and was_empty:
            self._request(EditLastQuestion())
        else:
            super().keyPressEvent(event)
            self._look_for_slash(was_empty=was_empty)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        was_empty = self.document().isEmpty()
        super().inputMethodEvent(event)
        self._look_for_slash(was_empty=was_empty)

    def _look_for_slash(self, *, was_empty: bool) -> None:
        if was_empty and self.toPlainText() in SLASHES:
            self.slash_typed.emit()

    def insert_prompt(self, content: str) -> None:
        """Put a prompt where the cursor is, in place of a slash; its first field is selected."""
        cursor = self.textCursor()
        if self.toPlainText() in SLASHES:
            cursor.select(QTextCursor.SelectionType.Document)
        start = cursor.selectionStart()
        cursor.insertText(content)
        self.setTextCursor(cursor)
        cursor.setPosition(start)
        self.select_field(cursor)
        self.setFocus()

    def select_field(self, start: QTextCursor, *, backwards: bool = False) -> bool:
        """Select the field to be filled in that comes after a place, or before it, if there is."""
        flags = QTextDocument.FindFlag.FindBackward if backwards else QTextDocument.FindFlag(0)
        found = self.document().find(_FIELD, start, flags)
        if not found.isNull():
            self.setTextCursor(found)
        return not found.isNull()

    def focusNextPrevChild(self, is_next: bool) -> bool:
        """Go from field to field, and out after the last."""
        found = self.select_field(self.textCursor(), backwards=not is_next)
        return found or super().focusNextPrevChild(is_next)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return not (local_files(source) or is_picture(source)) and super().canInsertFromMimeData(
            source
        )

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Insert plain text only; a large text goes beside the box, files are attached."""
        if files := local_files(source):
            self._request(AttachFiles(tuple(files)))
            return
        text = source.text()
        if is_picture(source):
            self._request(AttachPicture(QImage(source.imageData())))
        elif len(text) > LARGE_PASTE:
            self.large_pasted.emit(text)
        else:
            super().insertFromMimeData(source)


def is_picture(data: QMimeData) -> bool:
    """Whether this is a picture without a file, and without a text beside it."""
    return data.hasImage() and not local_files(data) and not data.text().strip()


def local_files(data: QMimeData) -> list[str]:
    """The paths of the files of this computer that are dragged or copied."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]

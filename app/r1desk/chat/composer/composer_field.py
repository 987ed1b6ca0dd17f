"""The text box of the composer: Enter sends, Up asks for the last message."""

from PySide6.QtCore import QMimeData, QRegularExpression, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QImage,
    QInputMethodEvent,
    QKeyEvent,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import QFrame, QWidget

from r1desk.chat.text.editor import MessageField
from r1desk.chat.values.intents import AttachFiles, AttachPicture, EditLastQuestion, Request

SLASHES = ("/", "、")
_FIELD = QRegularExpression(
    r"\{\{\w[^{}]{0,39}\}\}", QRegularExpression.PatternOption.UseUnicodePropertiesOption
)
LARGE_PASTE = 20_000  # characters; from here on a paste is kept beside the box


class ComposerField(MessageField):
    """The text box."""

    slash_typed = Signal()  # a slash, or what its key types in Chinese, is all that is in the box
    large_pasted = Signal(str)  # a paste too large to be edited here

    def __init__(self, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        self._request = request
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(2)

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
        """Leave dragged files and pictures to the window."""
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

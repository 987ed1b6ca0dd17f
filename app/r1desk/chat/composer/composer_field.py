"""The text box of the composer: Enter sends, Up asks for the last message."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QWidget

from r1desk.chat.text.editor import MessageField

LARGE_PASTE = 20_000  # characters; from here on a paste is kept beside the box


class ComposerField(MessageField):
    """The text box.

    Signals:
        last_requested: Up in the empty box.
        files_pasted: paths of files that were copied elsewhere.
        picture_pasted: a picture without a file.
        large_pasted: a paste too large to be edited here.
    """

    last_requested = Signal()
    large_pasted = Signal(str)
    files_pasted = Signal(list)
    picture_pasted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(2)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.parentWidget().update()  # the frame shows the focus

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.parentWidget().update()  # the frame shows the focus

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up in the empty box asks for the last message; the rest is the box's own."""
        if event.key() == Qt.Key.Key_Up and self.document().isEmpty():
            self.last_requested.emit()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Leave dragged files and pictures to the window."""
        return not (local_files(source) or is_picture(source)) and super().canInsertFromMimeData(
            source
        )

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Insert plain text only; a large text goes beside the box, files are attached."""
        if files := local_files(source):
            self.files_pasted.emit(files)
            return
        text = source.text()
        if is_picture(source):
            self.picture_pasted.emit()
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

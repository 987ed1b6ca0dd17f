"""The text of a code block: as high as its lines, scrolled sideways."""

from __future__ import annotations

import math

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import (
    QBrush,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QFrame, QTextEdit, QWidget

from r1desk.chat.text import display_text
from r1desk.chat.text.message_text_box import MessageTextBox
from r1desk.chat.text.text_style import TextStyle
from r1desk.theme.fonts import mono

_LINE_HEIGHT = 125.0  # percent


class CodeText(MessageTextBox, QTextEdit):
    """The code itself, exactly as high as it needs to be; long lines scroll sideways."""

    def __init__(self, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("code")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.viewport().setAutoFillBackground(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAcceptDrops(False)
        self.setFont(mono(style.font))
        self.document().setDefaultFont(mono(style.font))
        self.document().setDocumentMargin(0)
        self.setTabStopDistance(self.fontMetrics().horizontalAdvance(" ") * 4)
        self._plain = QTextCharFormat()
        self._plain.setForeground(QBrush(style.colours.code_text))
        self._lines = QTextBlockFormat()
        self._lines.setLineHeight(
            _LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
        )
        QTextCursor(self.document()).setBlockFormat(self._lines)

    def append_code(self, code: str) -> None:
        """Add more characters at the end."""
        was_empty = self.document().isEmpty()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(code, self._plain)
        if was_empty:  # the text pushed the box's own cursor on, and the first show scrolls to it
            self.setTextCursor(QTextCursor(self.document()))

    def replace_code(self, code: str) -> None:
        """Show other code."""
        self.document().clear()
        QTextCursor(self.document()).setBlockFormat(self._lines)
        self.append_code(code)

    def needed_height(self, width: int) -> int:
        """The height of all lines, and of the scroll bar if one is needed."""
        size = self.document().size()
        bar = self.horizontalScrollBar().sizeHint().height() if size.width() > width else 0
        return math.ceil(size.height()) + bar

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected characters as plain text, lines of our own making joined again."""
        data = QMimeData()
        selected = self.textCursor().selectedText().replace("\u2029", "\n")
        data.setText(
            selected.replace(f"{display_text.BREAK}\n", "").replace(display_text.BREAK, "")
        )
        return data

"""The text boxes of one message as one text: selected, copied and searched across them.

A message is a stack of text boxes: paragraphs, tables, code. Each selects its own text, as Qt
does; `MessageTextBox` carries a selection on into the boxes below or above, and copies all of it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextEdit, QWidget

from r1desk.chat.text.text_style import chat_colours

MESSAGE = "message"  # property of the widget of a message: its id


if TYPE_CHECKING:
    _Mixed = QTextEdit
else:
    _Mixed = object


class MessageTextBox(_Mixed):
    """A mixin for QTextEdit and its subclasses: selecting, copying and scrolling in a message.

    One that `scrolls` takes the wheel sideways; up and down it moves the conversation.
    """

    scrolls = True

    def look_like_text(self) -> None:
        """Show no more than the text, for a box exactly as high as it."""
        policy = Qt.ScrollBarPolicy
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(
            policy.ScrollBarAsNeeded if self.scrolls else policy.ScrollBarAlwaysOff
        )
        self.viewport().setAutoFillBackground(False)
        self.setAcceptDrops(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.document().setDocumentMargin(0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a selection; those elsewhere go."""
        super().mousePressEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            _clear_other_selections(self)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry a selection on into the boxes around."""
        super().mouseMoveEvent(event)
        if event.buttons() & Qt.MouseButton.LeftButton:
            _extend_selection(self, event.globalPosition().toPoint())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy and select all mean the whole message."""
        message = _message_of(self)
        if message is not None and event.matches(QKeySequence.StandardKey.Copy):
            if text := selected_text(message):
                QGuiApplication.clipboard().setText(text)
        elif message is not None and event.matches(QKeySequence.StandardKey.SelectAll):
            select_all(message)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Let the message open its menu, where it has one."""
        opens = getattr(_message_of(self), "open_menu", None)
        if opens is not None:
            opens(event.globalPos())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll sideways where there is more to see; leave up and down to the conversation."""
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if self.scrolls and (sideways or shifted):
            super().wheelEvent(event)
        else:
            event.ignore()


def text_boxes(message: QWidget) -> list[QTextEdit]:
    """The visible text boxes of a message, from top to bottom."""
    boxes = [box for box in message.findChildren(QTextEdit) if box.isVisibleTo(message)]
    return sorted(boxes, key=lambda box: _top_in(message, box))


# ---- selecting


def selected_text(message: QWidget) -> str:
    """The selected text of all boxes, an empty line between two of them."""
    texts = [
        box.createMimeDataFromSelection().text()
        for box in text_boxes(message)
        if box.textCursor().hasSelection()
    ]
    return "\n\n".join(texts)


def select_all(message: QWidget) -> None:
    """Select all text of a message."""
    for box in text_boxes(message):
        box.selectAll()


def _message_of(widget: QWidget) -> QWidget | None:
    found: QWidget | None = widget
    while found is not None and found.property(MESSAGE) is None:
        found = found.parentWidget()
    return found


def _clear_other_selections(box: QTextEdit) -> None:
    """Leave a selection in this box alone, in whatever message another one is."""
    for other in box.window().findChildren(QTextEdit):
        if other is not box and other.isReadOnly() and other.textCursor().hasSelection():
            _select(other, other.textCursor().position(), other.textCursor().position())


def _extend_selection(anchor: QTextEdit, place: QPoint) -> None:
    """Carry the selection that began in `anchor` to a place of the screen."""
    message = _message_of(anchor)
    if message is None:
        return
    boxes = text_boxes(message)
    here = boxes.index(anchor)
    there = _nearest(boxes, message.mapFromGlobal(place).y(), message)
    start = anchor.textCursor().anchor()
    for number, box in enumerate(boxes):
        if box is anchor:
            if there != here:
                _select(box, start, _end(box) if there > here else 0)
        elif min(here, there) < number < max(here, there):
            _select(box, 0, _end(box))
        elif number == there:
            viewport = box.viewport()
            position = box.cursorForPosition(viewport.mapFromGlobal(place)).position()
            _select(box, 0 if there > here else _end(box), position)
        elif box.textCursor().hasSelection():
            _select(box, 0, 0)


def _nearest(boxes: list[QTextEdit], y: int, message: QWidget) -> int:
    """The number of the box at a height of the message, or of the closest one."""
    tops = [_top_in(message, box) for box in boxes]
    away = [max(t - y, y - t - box.height(), 0) for t, box in zip(tops, boxes, strict=True)]
    return away.index(min(away))


def _top_in(message: QWidget, box: QTextEdit) -> int:
    return box.mapTo(message, QPoint(0, 0)).y()


def _end(box: QTextEdit) -> int:
    return box.document().characterCount() - 1


def _select(box: QTextEdit, anchor: int, position: int) -> None:
    cursor = box.textCursor()
    if (cursor.anchor(), cursor.position()) == (anchor, position):
        return
    cursor.setPosition(anchor)
    cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
    box.setTextCursor(cursor)


# ---- searching


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A match: the text box that shows it, and the selection of it there."""

    field: QTextEdit
    cursor: QTextCursor

    def top_in(self, ancestor: QWidget) -> int:
        """The upper edge of the match in the coordinates of an ancestor of its box."""
        start = QTextCursor(self.cursor)
        start.setPosition(self.cursor.selectionStart())
        edge = self.field.cursorRect(start).topLeft()
        return self.field.viewport().mapTo(ancestor, edge).y()


def pattern_of(query: str) -> re.Pattern[str] | None:
    """Finds each word of a query, in either case; None for an empty query."""
    found = sorted(set(query.split()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, found)), re.IGNORECASE) if found else None


def matches_in(message: QWidget, pattern: re.Pattern[str]) -> list[TextMatch]:
    """All matches in the text shown by a message, from top to bottom."""
    return [match for box in text_boxes(message) for match in _matches_of(box, pattern)]


def _matches_of(field: QTextEdit, pattern: re.Pattern[str]) -> list[TextMatch]:
    """The positions of a QTextDocument count UTF-16 units, those of Python code points."""
    matches: list[TextMatch] = []
    block = field.document().begin()
    while block.isValid():
        text = block.text()
        for found in pattern.finditer(text):
            start = block.position() + _utf16_length(text[: found.start()])
            cursor = QTextCursor(field.document())
            cursor.setPosition(start)
            end = start + _utf16_length(found.group())
            cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
            matches.append(TextMatch(field, cursor))
        block = block.next()
    return matches


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def mark(message: QWidget, matches: list[TextMatch], current: TextMatch | None = None) -> None:
    """Mark these matches in a message, and no others; the current one stands out."""
    for field in message.findChildren(QTextEdit):
        own = [_marked(match, match is current) for match in matches if match.field is field]
        if own or field.extraSelections():
            field.setExtraSelections(own)


def _marked(match: TextMatch, is_current: bool) -> QTextEdit.ExtraSelection:
    selection = QTextEdit.ExtraSelection()
    selection.cursor = match.cursor
    background = QColor(chat_colours().accent)
    background.setAlphaF(0.55 if is_current else 0.25)
    selection.format.setBackground(background)
    return selection

"""Selecting text across the pieces of one message.

A message is a stack of text boxes: paragraphs, tables, code. Each selects its own text, as Qt
does; these functions carry a selection on into the boxes below or above, and copy all of it.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtGui import QTextCursor as Cursor
from PySide6.QtWidgets import QTextEdit, QWidget

MESSAGE = "message"  # property of the widget of a message: its id


def message_widget(widget: QWidget) -> QWidget | None:
    """The message that a widget is a piece of."""
    found: QWidget | None = widget
    while found is not None and found.property(MESSAGE) is None:
        found = found.parentWidget()
    return found


def text_boxes(message: QWidget) -> list[QTextEdit]:
    """The visible text boxes of a message, from top to bottom."""
    boxes = [box for box in message.findChildren(QTextEdit) if box.isVisible()]
    return sorted(boxes, key=lambda box: box.mapTo(message, QPoint(0, 0)).y())


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


def clear_other_selections(box: QTextEdit) -> None:
    """Leave a selection in this box alone, in whatever message another one is."""
    top = box.window()
    for other in top.findChildren(QTextEdit):
        if other is not box and other.isReadOnly() and other.textCursor().hasSelection():
            _select(other, other.textCursor().position(), other.textCursor().position())


def extend_selection(anchor: QTextEdit, place: QPoint) -> None:
    """Carry the selection that began in `anchor` to a place of the screen."""
    message = message_widget(anchor)
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


def handle_selection_event(box: QTextEdit, event: QEvent) -> bool:
    """Serve what concerns all of the message; True where the box itself has nothing to do.

    To be called by the box for mouse and key events, after its own handling of mouse events.
    """
    if isinstance(event, QMouseEvent):
        if event.type() == QEvent.Type.MouseButtonPress:
            if event.button() == Qt.MouseButton.LeftButton:
                clear_other_selections(box)
        elif event.buttons() & Qt.MouseButton.LeftButton:
            extend_selection(box, event.globalPosition().toPoint())
        return False
    message = message_widget(box)
    if not isinstance(event, QKeyEvent) or message is None:
        return False
    if event.matches(QKeySequence.StandardKey.Copy):
        if text := selected_text(message):
            QGuiApplication.clipboard().setText(text)
        return True
    if event.matches(QKeySequence.StandardKey.SelectAll):
        select_all(message)
        return True
    return False


def open_menu(box: QTextEdit, event: QContextMenuEvent) -> None:
    """Let the message open its menu, where it has one, instead of the box."""
    message = message_widget(box)
    opens = getattr(message, "open_menu", None)
    if opens is not None:
        opens(event.globalPos())
    event.accept()


def _nearest(boxes: list[QTextEdit], y: int, message: QWidget) -> int:
    """The number of the box at a height of the message."""
    for number, box in enumerate(boxes):
        top = box.mapTo(message, QPoint(0, 0)).y()
        if y < top + box.height():
            return number if y >= top or number == 0 else _closer(boxes, number, y, message)
    return len(boxes) - 1


def _closer(boxes: list[QTextEdit], number: int, y: int, message: QWidget) -> int:
    above = boxes[number - 1]
    bottom = above.mapTo(message, QPoint(0, 0)).y() + above.height()
    top = boxes[number].mapTo(message, QPoint(0, 0)).y()
    return number - 1 if y - bottom < top - y else number


def _end(box: QTextEdit) -> int:
    return box.document().characterCount() - 1


def _select(box: QTextEdit, anchor: int, position: int) -> None:
    cursor = box.textCursor()
    if (cursor.anchor(), cursor.position()) == (anchor, position):
        return
    cursor.setPosition(anchor)
    cursor.setPosition(position, Cursor.MoveMode.KeepAnchor)
    box.setTextCursor(cursor)

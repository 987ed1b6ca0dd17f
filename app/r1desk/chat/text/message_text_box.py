"""The behaviour that all text boxes of a message share: mouse, keyboard and selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QTextEdit

from r1desk.chat.text.message_selection import handle_selection_event, open_menu

if TYPE_CHECKING:
    _Base = QTextEdit
else:
    _Base = object


class MessageTextBox(_Base):
    """A mixin for QTextEdit and its subclasses: selecting, copying and scrolling in a message.

    One that `scrolls` takes the wheel sideways; up and down it moves the conversation.
    """

    scrolls = True

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a selection; those elsewhere go."""
        super().mousePressEvent(event)
        handle_selection_event(self, event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Carry a selection on into the boxes around."""
        super().mouseMoveEvent(event)
        handle_selection_event(self, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy and select all mean the whole message."""
        if not handle_selection_event(self, event):
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Open the message's menu."""
        open_menu(self, event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll sideways where there is more to see; leave up and down to the conversation."""
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if self.scrolls and (sideways or shifted):
            super().wheelEvent(event)
        else:
            event.ignore()

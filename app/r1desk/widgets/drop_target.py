"""A frame over the window while a file is dragged over it: it says what a drop does."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from r1desk.theme import set_role


class DropTarget(QLabel):
    """Covers its parent and takes no mouse events. Hidden at first."""

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        set_role(self, "drop")
        self.hide()

    def show_over_parent(self) -> None:
        """Cover the parent."""
        self.setGeometry(self.parentWidget().rect())
        self.raise_()
        self.show()

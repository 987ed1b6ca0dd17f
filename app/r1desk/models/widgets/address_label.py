"""Shows an address that wraps in a narrow window and is copied unchanged."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QClipboard, QContextMenuEvent, QGuiApplication, QMouseEvent
from PySide6.QtWidgets import QLabel, QMenu

from deepseek_r1.core.i18n import tr
from r1desk.models.formatting import BREAK, breakable_address


class AddressLabel(QLabel):
    """Holds zero-width places to break a line; copying and dragging leave them out."""

    def __init__(self) -> None:
        super().__init__(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_address(self, address: str) -> None:
        """Show this one."""
        self.setText(breakable_address(address))

    def copied(self) -> str:
        """The text to copy: the selected part, or the whole address."""
        return (self.selectedText() or self.text()).replace(BREAK, "")

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copying is offered; Qt's own menu would copy the label's text as it is drawn."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Copy"), lambda: QGuiApplication.clipboard().setText(self.copied()))
        menu.popup(event.globalPos())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a new selection, also on the old one: that would be dragged as it is drawn."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSelection(0, 0)
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """On X11 a selection is copied when the button is let go."""
        super().mouseReleaseEvent(event)
        clipboard = QGuiApplication.clipboard()
        if clipboard.supportsSelection() and self.hasSelectedText():
            clipboard.setText(self.copied(), QClipboard.Mode.Selection)

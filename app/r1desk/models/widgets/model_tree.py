"""The common parts of the chooser's pages: rows of models with their fit, addresses, a question."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QClipboard, QContextMenuEvent, QGuiApplication, QMouseEvent
from PySide6.QtWidgets import (
    QHeaderView,
    QLabel,
    QMenu,
    QMessageBox,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.models.forecast.forecast import Fit, Forecast, format_fit, format_raised
from r1desk.models.formatting import BREAK, breakable_address
from r1desk.theme import icon

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ICONS = {
    Fit.IN_MEMORY: ("check", "success"),
    Fit.FROM_DISK: ("download", "text_dim"),
    Fit.TOO_LARGE: ("warning", "warning"),
}


class ModelTree(QTreeWidget):
    """One row a model. Its name has the width that the other columns leave.

    The number columns are aligned to the right, as are their headings.
    """

    def __init__(self, name: str, headings: Sequence[str], number_columns: Sequence[int]) -> None:
        """`name` is what a screen reader calls the list."""
        super().__init__(accessibleName=name, rootIsDecorated=False)
        self._number_columns = tuple(number_columns)
        self.setHeaderLabels(list(headings))
        align_right(self.headerItem(), number_columns)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAllColumnsShowFocus(True)
        self.setUniformRowHeights(True)
        self.setMinimumHeight(self.fontMetrics().height() * 5)

    def fill(self, item: QTreeWidgetItem, texts: Sequence[str]) -> None:
        """Put texts into the columns of a row, which a screen reader reads as one sentence."""
        for column, text in enumerate(texts):
            item.setText(column, text)
        align_right(item, self._number_columns)
        sentence = ", ".join(text for text in texts if text)
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, sentence)


def align_right(item: QTreeWidgetItem, columns: Sequence[int]) -> None:
    """Align numbers in these columns by their last digit."""
    for column in columns:
        item.setTextAlignment(column, _RIGHT)


def show_fit(item: QTreeWidgetItem, column: int, forecast: Forecast) -> None:
    """Show in one cell whether a model fits, and how fast it is."""
    item.setText(column, format_fit(forecast))
    item.setIcon(column, icon(*_ICONS[forecast.fit]))
    item.setToolTip(column, format_raised(forecast))


class UnverifiedBox(QMessageBox):
    """Enter cancels: the default button is Cancel."""

    def __init__(self, parent: QWidget, file: str) -> None:
        super().__init__(parent)
        self.setIcon(QMessageBox.Icon.Warning)
        self.setText(tr("No checksum is known for {file}.", file=file))
        self.setInformativeText(tr("Without one the downloaded file cannot be verified."))
        self.accept_button = self.addButton(
            tr("Download all the same"), QMessageBox.ButtonRole.DestructiveRole
        )
        self.setDefaultButton(self.addButton(QMessageBox.StandardButton.Cancel))
        self.finished.connect(self.deleteLater)


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

"""The common parts of the chooser's pages: rows of models with their fit, addresses, a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QDir, QStandardPaths, Qt
from PySide6.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QMessageBox,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.models.forecast import Fit, Forecast, format_fit, format_raised
from r1desk.theme import explain, icon, set_role

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


class AddressLine(QLineEdit):
    """Shows an address in a line that can be scrolled, selected and copied; its tip is whole."""

    def __init__(self) -> None:
        super().__init__(readOnly=True, frame=False)
        set_role(self, "dim")

    def show_address(self, address: str) -> None:
        """Show this one from its beginning: its host says where a file comes from."""
        self.setText(address)
        self.setCursorPosition(0)
        explain(self, address)


def warning_box(parent: QWidget, text: str, details: str) -> QMessageBox:
    """A question whose default button is Cancel; the caller adds the others and opens it."""
    box = QMessageBox(QMessageBox.Icon.Warning, "", text, parent=parent)
    box.setInformativeText(details)
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    box.finished.connect(box.deleteLater)
    return box


def ask_unverified(parent: QWidget, file: str, download: Callable[[], object]) -> None:
    """Ask whether a file without a known checksum is to be downloaded all the same."""
    text = tr("No checksum is known for {file}.", file=file)
    box = warning_box(parent, text, tr("Without one the downloaded file cannot be verified."))
    button = box.addButton(tr("Download all the same"), QMessageBox.ButtonRole.DestructiveRole)
    button.clicked.connect(download)
    box.open()


def open_model_dialog(parent: QWidget) -> QFileDialog:
    """The system's dialog for an existing model file; the caller connects and opens it."""
    filters = [tr("Models (*.gguf *.bin)"), tr("GGUF models (*.gguf)"), tr("All files (*)")]
    dialog = _dialog(parent, tr("Open a model file"), filters)
    downloads = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DownloadLocation)
    dialog.setDirectory(downloads if QDir(downloads).exists() else QDir.homePath())
    return dialog


def open_template_dialog(parent: QWidget) -> QFileDialog:
    """The system's dialog for an existing chat template; the caller connects and opens it."""
    filters = [tr("Chat templates (*.jinja *.jinja2 *.j2 *.txt)"), tr("All files (*)")]
    return _dialog(parent, tr("Open a chat template"), filters)


def _dialog(parent: QWidget, title: str, filters: list[str]) -> QFileDialog:
    dialog = QFileDialog(parent, title)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters(filters)
    return dialog

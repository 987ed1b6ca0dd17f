"""The common parts of the chooser's pages: rows of models with their fit, addresses, a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QStandardPaths, Qt
from PySide6.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.memory.forecast import Fit, Forecast, format_fit, with_rate
from r1desk.models.formatting import format_mib, format_size
from r1desk.theme import explain, icon, set_role
from r1desk.widgets.file_dialog import file_dialog

VALUE_ROLE = Qt.ItemDataRole.UserRole
FIT_COLUMN = 3
_LEAST_GAIN = 1.1  # in speed, for more memory
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ICONS = {
    Fit.IN_MEMORY: ("check", "success"),
    Fit.FROM_DISK: ("disk", "text_dim"),
    Fit.TOO_LARGE: ("warning", "warning"),
}


class ModelTree(QTreeWidget):
    """One row a model. Its name has the width that the other columns leave.

    The number columns are aligned to the right, as are their headings.
    """

    def __init__(self, name: str, headings: Sequence[str], number_columns: Sequence[int]) -> None:
        """`name` is what a screen reader calls the list."""
        super().__init__()
        self.setAccessibleName(name)
        self.setRootIsDecorated(False)
        self._number_columns = tuple(number_columns)
        self.setHeaderLabels(list(headings))
        self._align(self.headerItem())
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAllColumnsShowFocus(True)
        self.setUniformRowHeights(True)
        self.setMinimumHeight(self.fontMetrics().height() * 5)

    @property
    def tops(self) -> list[QTreeWidgetItem]:
        """The rows below no other one."""
        return children_of(self.invisibleRootItem())

    def select_first(self) -> None:
        """Select the first row, where none is selected."""
        if self.currentItem() is None and self.tops:
            self.setCurrentItem(self.tops[0])

    @property
    def selected(self) -> Any:
        """The value of the selected row, or None."""
        item = self.currentItem()
        return item.data(0, VALUE_ROLE) if item is not None else None

    def fill(self, item: QTreeWidgetItem, value: object, texts: Sequence[str]) -> None:
        """Show a value in a row by these texts, which a screen reader reads as one sentence."""
        item.setData(0, VALUE_ROLE, value)
        for column, text in enumerate(texts):
            item.setText(column, text)
        self._align(item)
        sentence = ", ".join(text for text in texts if text)
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, sentence)

    def fill_offer(
        self,
        item: QTreeWidgetItem,
        value: object,
        name: str,
        size_bytes: int | None,
        forecast: Forecast | None,
    ) -> None:
        """Show what can be downloaded: size, memory and fit, where they are known."""
        size = format_size(size_bytes) if size_bytes is not None else "?"
        if forecast is None:
            self.fill(item, value, (name, size, "?", "?"))
            return
        memory = f"{forecast.bill.total_mib:,.0f} MiB"
        self.fill(item, value, (name, size, memory, format_fit(forecast)))
        item.setIcon(FIT_COLUMN, icon(*_ICONS[forecast.fit]))

    def _align(self, item: QTreeWidgetItem) -> None:
        """Align numbers by their last digit."""
        for column in self._number_columns:
            item.setTextAlignment(column, _RIGHT)


def children_of(item: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    """The rows below one."""
    found = (item.child(at) for at in range(item.childCount()))
    return [child for child in found if child is not None]


class GiveButton(QPushButton):
    """Raises the budget so far that it holds a model whole, and then does what is offered beside.

    Hidden where that is not needed, where not so much memory is free, or where the model writes
    about as fast from the disk.
    """

    def __init__(self, give: Callable[[int], object], then: Callable[[], object]) -> None:
        super().__init__(autoDefault=False)
        self._budget_mib = 0
        self.clicked.connect(lambda: (give(self._budget_mib), then()))
        self.hide()

    def offer(self, forecast: Forecast | None, *, here: bool = False) -> None:
        """Offer a model's larger budget; `here`: its file is on this computer."""
        raised = forecast.raised if forecast is not None else None
        gain = forecast is not None and (
            not forecast.tok_s or forecast.raised_tok_s > _LEAST_GAIN * forecast.best_tok_s
        )
        self.setVisible(raised is not None and gain)
        if forecast is None or raised is None:
            return
        self._budget_mib = raised.memory_budget
        text = N_("Use it and give it {memory}") if here else N_("Download and give it {memory}")
        text = tr(text, memory=format_mib(raised.memory_budget))
        self.setText(with_rate(text, forecast.raised_tok_s))


class AddressLine(QLineEdit):
    """Shows an address in a line that can be scrolled, selected and copied; its tip is whole."""

    def __init__(self) -> None:
        super().__init__(readOnly=True, frame=False)
        self.setAccessibleName(tr("Address"))
        set_role(self, "dim")

    def show_address(self, address: str) -> None:
        """Show this one from its beginning: its host says where a file comes from."""
        self.setText(address)
        self.setCursorPosition(0)
        explain(self, address)


def open_model_dialog(
    parent: QWidget, on_chosen: Callable[[Path], object], selected: str = ""
) -> None:
    """Open the system's dialog for an existing model file."""
    filters = [tr("Models (*.gguf *.bin)"), tr("GGUF models (*.gguf)"), tr("All files (*)")]
    downloads = QStandardPaths.StandardLocation.DownloadLocation
    dialog = file_dialog(parent, tr("Open a model file"), filters, downloads)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.fileSelected.connect(lambda path: on_chosen(Path(path)))
    if selected:
        dialog.selectFile(selected)
    dialog.open()

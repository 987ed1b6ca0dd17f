"""The files of models as rows: name, size, fit and speed, and what is to be noted of each."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QTreeView

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.units import format_size
from deepseek_r1.memory.forecast import Fit, fit_facts
from r1desk.models.file_texts import Present, owner_text
from r1desk.theme import icon

NAME, SIZE, FIT, NOTE = range(4)
_HEADINGS = (N_("Model"), N_("Size"), N_("Fit and speed"), N_("Note"))
_WIDE_EMS = 34  # in a narrower list the facts of a file stand below its name
_ICONS = {
    Fit.IN_MEMORY: ("check", "success"),
    Fit.FROM_DISK: ("disk", "text_dim"),
    Fit.TOO_LARGE: ("warning", "warning"),
}
_Index = QModelIndex | QPersistentModelIndex
_Role = Qt.ItemDataRole
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ModelTable(QAbstractTableModel):
    """Rows of files. `notes` are said of those that are not here, by their keys."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.files: tuple[ModelFile, ...] = ()
        self.present = Present()
        self._in_two_lines = False
        self._notes: Mapping[object, str] = {}

    def show_files(
        self, files: Sequence[ModelFile], notes: Mapping[object, str], present: Present
    ) -> bool:
        """Show these; returns whether they are other rows than before: then none is selected."""
        same = [each.key for each in files] == [each.key for each in self.files]
        if not same:
            self.beginResetModel()
        self.files, self._notes, self.present = tuple(files), notes, present
        if not same:
            self.endResetModel()
        elif files:
            self.dataChanged.emit(self.index(0, 0), self.index(len(files) - 1, NOTE))
        return not same

    def show_in_two_lines(self, in_two_lines: bool) -> None:
        """Show the facts of a file below its name, or in columns of their own."""
        if in_two_lines != self._in_two_lines:
            self._in_two_lines = in_two_lines
            self.layoutChanged.emit()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.files)

    def columnCount(self, _parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return len(_HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Role.DisplayRole
    ) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == _Role.DisplayRole:
            return tr(_HEADINGS[section])
        if role == _Role.TextAlignmentRole and section == SIZE:
            return _RIGHT
        return None

    def data(self, index: _Index, role: int = _Role.DisplayRole) -> Any:
        file, column = self.files[index.row()], index.column()
        if role == _Role.DisplayRole:
            name, *facts = self.texts(file)
            if self._in_two_lines and column == NAME:
                return f"{name}\n{' · '.join(text for text in facts if text)}"
            return self.texts(file)[column]
        if role == _Role.FontRole and self.present.is_loaded(file):
            font = QFont()
            font.setWeight(QFont.Weight.DemiBold)
            return font
        if column == SIZE and role == _Role.TextAlignmentRole:
            return _RIGHT
        fits = NAME if self._in_two_lines else FIT
        if column == fits and role == _Role.DecorationRole and file.forecast is not None:
            return icon(*_ICONS[file.forecast.fit])
        return self._tip_of(file, role) if column == NAME else None

    def _tip_of(self, file: ModelFile, role: int) -> str | None:
        """The sentence that a screen reader reads of a row, or the tip of its name."""
        if role == _Role.AccessibleTextRole:
            return ", ".join(text for text in self.texts(file) if text)
        return f"{file.title}\n{file.path or file.file}" if role == _Role.ToolTipRole else None

    def texts(self, file: ModelFile) -> tuple[str, str, str, str]:
        """The texts of a row, by its columns."""
        size = format_size(file.size_bytes) if file.size_bytes is not None else "?"
        fit = " · ".join(fit_facts(file.forecast)) if file.forecast is not None else "?"
        if file.error is not None:
            fit = tr("cannot be used")
        owner_or_note = owner_text(file) if file.path is not None else self._notes.get(file.key, "")
        return file.title, size, fit, self.present.state_text(file) or owner_or_note


class ModelList(QTreeView):
    """Shows a `ModelTable`. The names have the width that the other columns leave."""

    def __init__(self) -> None:
        super().__init__(rootIsDecorated=False, uniformRowHeights=True, allColumnsShowFocus=True)
        self.setAccessibleName(tr("Model files"))
        self.setObjectName("models")  # for the style sheet
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table = ModelTable(self)
        self.setModel(self.table)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)

    @property
    def selected(self) -> ModelFile | None:
        """The file of the current row."""
        row = self.currentIndex().row()
        return self.table.files[row] if 0 <= row < len(self.table.files) else None

    def select(self, keys: Collection[object]) -> None:
        """Make the first row with one of these keys the current one; without one the first row."""
        rows = [row for row, each in enumerate(self.table.files) if each.key in keys]
        self.setCurrentIndex(self.table.index((rows or [0])[0], NAME))
        self.scrollTo(self.currentIndex())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _WIDE_EMS * self.fontMetrics().height()
        self.table.show_in_two_lines(narrow)
        for column in (SIZE, FIT, NOTE):
            self.setColumnHidden(column, narrow)

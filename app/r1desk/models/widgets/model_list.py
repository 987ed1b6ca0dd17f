"""The files of models as rows: name, size, fit and speed, and what is to be noted of each."""

from collections.abc import Collection, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QIcon, QResizeEvent
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from deepseek_r1.memory.forecast import Fit, fit_facts
from r1desk.models.file_texts import Present, owner_text
from r1desk.theme import icon

NAME, SIZE, FIT, NOTE = range(4)
_WIDE_EMS = 34  # in a narrower list the facts of a file stand below its name
_ICONS = {
    Fit.IN_MEMORY: ("check", "success"),
    Fit.FROM_DISK: ("disk", "text_dim"),
    Fit.TOO_LARGE: ("warning", "warning"),
}
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ModelList(QTreeWidget):
    """The names have the width that the other columns leave.

    Notes are said of files that are not here, by their keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setAccessibleName(tr("Model files"))
        self.setObjectName("models")  # for the style sheet
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHeaderLabels([tr("Model"), tr("Size"), tr("Fit and speed"), tr("Note")])
        horizontal, alignment = Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole
        self.model().setHeaderData(SIZE, horizontal, _RIGHT, alignment)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.files: tuple[ModelFile, ...] = ()
        self._items: list[QTreeWidgetItem] = []
        self._present = Present()
        self._notes: Mapping[object, str] = {}
        self._in_two_lines = False

    def show_files(
        self, files: Sequence[ModelFile], notes: Mapping[object, str], present: Present
    ) -> bool:
        """Show these; returns whether they are other rows than before: then none is selected."""
        same = [each.key for each in files] == [each.key for each in self.files]
        self.files, self._notes, self._present = tuple(files), notes, present
        if not same:
            self.clear()
            self._items = [QTreeWidgetItem() for _ in files]
            self.addTopLevelItems(self._items)
        self._fill()
        return not same

    def _fill(self) -> None:
        bold = QFont()
        bold.setWeight(QFont.Weight.DemiBold)
        for file, item in zip(self.files, self._items, strict=True):
            texts = self.texts(file)
            sentence = [text for text in texts if text]
            for column, text in enumerate(texts):
                item.setText(column, text)
                item.setFont(column, bold if self._present.is_loaded(file) else QFont())
                item.setIcon(column, QIcon())
            if self._in_two_lines:
                item.setText(NAME, f"{texts[NAME]}\n{' · '.join(sentence[1:])}")
            if file.forecast is not None:
                item.setIcon(NAME if self._in_two_lines else FIT, icon(*_ICONS[file.forecast.fit]))
            item.setTextAlignment(SIZE, _RIGHT)
            item.setToolTip(NAME, f"{file.title}\n{file.path or file.file}")
            item.setData(NAME, Qt.ItemDataRole.AccessibleTextRole, ", ".join(sentence))

    def texts(self, file: ModelFile) -> tuple[str, str, str, str]:
        """The texts of a row, by its columns."""
        size = format_size(file.size_bytes) if file.size_bytes is not None else "?"
        fit = " · ".join(fit_facts(file.forecast)) if file.forecast is not None else "?"
        if file.error is not None:
            fit = tr("cannot be used")
        owner_or_note = owner_text(file) if file.path is not None else self._notes.get(file.key, "")
        return file.title, size, fit, self._present.state_text(file) or owner_or_note

    @property
    def selected(self) -> ModelFile | None:
        """The file of the current row."""
        row = self.currentIndex().row()
        return self.files[row] if 0 <= row < len(self.files) else None

    def select(self, keys: Collection[object]) -> None:
        """Make the first row with one of these keys the current one; without one the first row."""
        rows = [row for row, each in enumerate(self.files) if each.key in keys]
        self.setCurrentIndex(self.model().index((rows or [0])[0], NAME))
        self.scrollTo(self.currentIndex())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _WIDE_EMS * self.fontMetrics().height()
        if narrow != self._in_two_lines:
            self._in_two_lines = narrow
            self._fill()
        for column in (SIZE, FIT, NOTE):
            self.setColumnHidden(column, narrow)

"""A row of the panel for a model file."""

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SettingInfo
from r1desk.performance.widgets.setting_rows import SettingRow
from r1desk.theme import explain
from r1desk.widgets.file_dialog import model_dialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import ElidedButton, call_with


class FileRow(SettingRow):
    """The name of a file on a button that opens a dialog for another one, and a way to none.

    Where no file is chosen, one can be offered, on the button `offered`.
    """

    def __init__(self, info: SettingInfo) -> None:
        super().__init__(info)
        self._path = ""
        self._offer_tip = ""
        self.button = ElidedButton()
        self.none = QPushButton(tr("Remove"))
        self.offered = QPushButton()
        self._set_up(self.button, self.none, self.offered)
        self.none.setAccessibleName(f"{tr(info.title)}: {self.none.text()}")
        line = put_inside(self._box, with_properties(QHBoxLayout(), spacing=6))
        for control in self.controls:
            control.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            line.addWidget(control)
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line.setStretch(0, 1)
        self._box.addWidget(self.cost)
        self.button.clicked.connect(self._on_choose)
        call_with(self.none.clicked, self._choose, "")
        self.set_value("")

    @property
    def value(self) -> str:
        """The chosen file; empty for none."""
        return self._path

    def set_value(self, value: str) -> None:
        self._path = value
        name = Path(value).name if value else tr("Choose…")
        self.button.setText(name.replace("&", "&&"))
        explain(self.button, value or tr(self.info.help))
        self._show(self.none, visible=bool(value))
        self._show(self.offered, visible=bool(self.offered.text()) and not value)
        explain(self.offered, self._offer_tip or tr(self.info.help))

    def _show(self, control: QPushButton, *, visible: bool) -> None:
        """Show or hide a button. One that had the keyboard leaves it in this row.

        Otherwise the next row would get it, and what is typed would change that row's setting.
        """
        if not visible and control.hasFocus():
            self.button.setFocus()
        control.setVisible(visible)

    def offer(self, text: str, tip: str = "") -> None:
        """Offer another file on a button with this text; an empty one takes the offer back."""
        if (text, tip) == (self.offered.text(), self._offer_tip):
            return  # asked for with each progress report of a download
        self._offer_tip = tip
        self.offered.setText(text)
        self.offered.setAccessibleName(f"{tr(self.info.title)}: {text}")
        self.set_value(self._path)

    def enable(self) -> None:
        super().enable()
        self.set_value(self._path)  # its tooltips were those of a disabled row

    @Slot()
    def _on_choose(self) -> None:
        dialog = model_dialog(self.window())
        if self._path:
            dialog.selectFile(self._path)
        dialog.fileSelected.connect(self._choose)
        dialog.open()

    @Slot(str)
    def _choose(self, path: str) -> None:
        self.set_value(path)
        self.changed.emit(path)

"""Asks whether a model file is to be moved to the trash or deleted for good."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.models.formatting import breakable_address


class DeletionBox(QMessageBox):
    """Enter cancels: the default button is Cancel."""

    def __init__(self, parent: QWidget, name: str, size: str, path: Path, note: str) -> None:
        super().__init__(parent)
        self.setIcon(QMessageBox.Icon.Warning)
        self.setWindowTitle(tr("Delete a model"))
        self.setText(tr("Delete {name} ({size})?", name=name, size=size))
        lines = (
            breakable_address(str(path)),
            note,
            tr("The trash keeps the file, and its space, until the trash is emptied."),
        )
        self.setInformativeText("\n\n".join(lines))
        self.trash_button = self.addButton(
            tr("Move to the trash"), QMessageBox.ButtonRole.AcceptRole
        )
        self.delete_button = self.addButton(
            tr("Delete for good"), QMessageBox.ButtonRole.DestructiveRole
        )
        self.setDefaultButton(self.addButton(QMessageBox.StandardButton.Cancel))
        self.finished.connect(self.deleteLater)

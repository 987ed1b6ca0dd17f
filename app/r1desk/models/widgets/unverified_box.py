"""Asks whether a file without a known checksum is to be downloaded all the same."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

from deepseek_r1.core.i18n import tr


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

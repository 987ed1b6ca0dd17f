"""The system's dialog for an existing model file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.widgets.file_dialog import file_dialog


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

"""The system's dialog for an existing model file."""

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.widgets.file_dialog import file_dialog


def model_dialog(parent: QWidget, selected: str = "") -> QFileDialog:
    """The system's dialog for an existing model file, which is not open yet."""
    filters = [tr("Models (*.gguf *.bin)"), tr("GGUF models (*.gguf)"), tr("All files (*)")]
    downloads = QStandardPaths.StandardLocation.DownloadLocation
    dialog = file_dialog(parent, tr("Open a model file"), filters, downloads)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    if selected:
        dialog.selectFile(selected)
    return dialog

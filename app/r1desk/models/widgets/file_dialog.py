"""The system's dialogs for a model file and for a chat template."""

from __future__ import annotations

from PySide6.QtCore import QDir, QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.i18n import tr


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

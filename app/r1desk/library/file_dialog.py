"""Asking for a model file."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.words import tr


def ask_for_model(parent: QWidget) -> QFileDialog:
    """The system's dialog for an existing model file; the caller connects and opens it."""
    dialog = QFileDialog(parent, tr("Open a model file"))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters(
        [tr("Models (*.gguf *.bin)"), tr("GGUF models (*.gguf)"), tr("All files (*)")]
    )
    return dialog

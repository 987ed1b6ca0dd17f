"""The system's dialogs for exporting and importing conversations."""

from __future__ import annotations

from PySide6.QtCore import QDir, QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from deepseek_r1.core.i18n import tr

MARKDOWN_SUFFIX, HTML_SUFFIX, PDF_SUFFIX = ".md", ".html", ".pdf"
_NOT_IN_NAMES = '<>:"/\\|?*'
_NAME_CHARACTERS = 60


def export_dialog(parent: QWidget, title: str, *, of_all: bool = False) -> QFileDialog:
    """A dialog for a new file; the caller connects `fileSelected` and opens it.

    `of_all`: all conversations are exported, most likely to be imported on another computer, so the
    form that can be imported comes first.
    """
    dialog = _dialog(parent, tr("Export"))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    texts = [
        tr("Markdown, the text shown (*.md)"),
        tr("Web page with formulas (*.html)"),
        tr("PDF, for printing (*.pdf)"),
    ]
    archive = tr("For R1 Desk on another computer, with all versions (*.json)")
    filters = [archive, *texts] if of_all else [*texts, archive]
    dialog.setNameFilters(filters)
    dialog.setDefaultSuffix(suffix_of(filters[0]))
    dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(suffix_of(chosen)))
    dialog.selectFile(file_name(title))
    return dialog


def suffix_of(name_filter: str) -> str:
    """The suffix in a filter of the dialog, "md" in "Markdown (*.md)"."""
    return name_filter.rpartition("*.")[2].rstrip(")")


def import_dialog(parent: QWidget) -> QFileDialog:
    """A dialog for an exported file; the caller connects `fileSelected` and opens it."""
    dialog = _dialog(parent, tr("Import conversations"))
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters([tr("Exported conversations (*.json)"), tr("All files (*)")])
    return dialog


def _dialog(parent: QWidget, title: str) -> QFileDialog:
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    dialog = QFileDialog(parent, title, documents if QDir(documents).exists() else QDir.homePath())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return dialog


def file_name(title: str) -> str:
    """A name that every system takes, from a conversation's title."""
    kept = "".join(" " if c in _NOT_IN_NAMES or not c.isprintable() else c for c in title)
    return " ".join(kept.split())[:_NAME_CHARACTERS].strip(" .") or "conversation"

"""The system's dialog for files, which begins in the folder of the last choice of its kind."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PySide6.QtCore import QDir, QFileInfo, QSettings, QStandardPaths, Qt
from PySide6.QtGui import QAbstractFileIconProvider, QIcon
from PySide6.QtWidgets import (
    QFileDialog,
    QFileIconProvider,
    QHeaderView,
    QListView,
    QTreeView,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.platform.tasks import Later
from r1desk.widgets.bounded_dialog import size_within_screen
from r1desk.widgets.text_label import call_with

_KEPT = "FileDialog/lastVisited"  # Qt's own key, below which each kind has one
_SIZES = 1  # a column


class _PlainIcons(QFileIconProvider):
    """One icon for folders and one for files.

    Qt's own reads from each file what it is, in the window's thread: 140 ms for 1,000 files.
    """

    def icon(self, what: QFileInfo | QAbstractFileIconProvider.IconType) -> QIcon:
        kinds = QAbstractFileIconProvider.IconType
        if isinstance(what, QFileInfo):
            what = kinds.Folder if what.isDir() else kinds.File
        return super().icon(what)

    def type(self, info: QFileInfo) -> str:
        return info.suffix()


_icons = cache(_PlainIcons)  # no dialog owns it


def file_dialog(
    parent: QWidget,
    title: str,
    filters: Sequence[str],
    first: QStandardPaths.StandardLocation = QStandardPaths.StandardLocation.DocumentsLocation,
) -> QFileDialog:
    """A dialog that Qt deletes once it is closed; `first` is where the very first one begins.

    Each `first` has a last folder of its own: documents are not sought among models.
    """
    settings, key = QSettings(QSettings.Scope.UserScope, "QtProject"), f"{_KEPT}/{first.name}"
    folders = (str(settings.value(key, "")), QStandardPaths.writableLocation(first))
    there = (folder for folder in folders if folder and QDir(folder).exists())
    dialog = QFileDialog(parent, title, next(there, QDir.homePath()))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setIconProvider(_icons())
    dialog.setNameFilters(list(filters))
    for view in dialog.findChildren(QTreeView):  # none where it is the system's
        size = QHeaderView.ResizeMode.ResizeToContents
        view.header().setSectionResizeMode(_SIZES, size)  # Qt's own width cuts "378 KiB"
    for places in dialog.findChildren(QListView, "sidebar"):  # as wide as "Computer", in full
        places.setMinimumWidth(places.sizeHintForColumn(0) + 2 * places.frameWidth())
    dialog.resize(size_within_screen(dialog, dialog.sizeHint()))
    dialog.filesSelected.connect(lambda paths: settings.setValue(key, str(Path(paths[0]).parent)))
    return dialog


def model_dialog(parent: QWidget) -> QFileDialog:
    """A dialog for an existing model file."""
    filters = [tr("Models (*.gguf *.bin)"), tr("GGUF models (*.gguf)"), tr("All files (*)")]
    downloads = QStandardPaths.StandardLocation.DownloadLocation
    dialog = file_dialog(parent, tr("Open a model file"), filters, downloads)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    return dialog


def make_saving(dialog: QFileDialog) -> None:
    """Let a dialog name a file to write; Qt's own would call its fields as for one to open."""
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setLabelText(QFileDialog.DialogLabel.LookIn, tr("Save in:"))
    dialog.setLabelText(QFileDialog.DialogLabel.FileType, tr("Format:"))


def chosen_file(dialog: QFileDialog) -> Later[str]:
    """Open a dialog, and await the file that is chosen; empty for none."""
    chosen: Later[str] = Later()
    dialog.fileSelected.connect(chosen.give)
    call_with(dialog.rejected, chosen.give, "")
    dialog.open()
    return chosen

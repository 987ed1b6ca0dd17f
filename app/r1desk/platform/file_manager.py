"""Shows a file or a folder in the system's file manager."""

import sys
from pathlib import Path

from PySide6.QtCore import QDir, QProcess, QUrl
from PySide6.QtGui import QDesktopServices


def show_in_folder(path: Path) -> None:
    """Open the file's folder, with the file selected where the system can do that.

    Returns at once; nothing happens where the system has no file manager.
    """
    native = QDir.toNativeSeparators(str(path))
    if sys.platform == "win32":
        QProcess.startDetached("explorer.exe", ["/select,", native])
    elif sys.platform == "darwin":
        QProcess.startDetached("/usr/bin/open", ["-R", native])
    else:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))

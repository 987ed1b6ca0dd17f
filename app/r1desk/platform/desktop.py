"""The desktop: its notices, on Linux through the portal of the session's bus; its file manager."""

import sys
from pathlib import Path
from typing import Any

from PySide6.QtCore import SLOT, QDir, QObject, QProcess, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices

OFFERED = sys.platform == "linux"
_SERVICE, _PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
_INTERFACE = "org.freedesktop.portal.Notification"


class SystemNotices(QObject):
    """Shows notices by key; one of the same key is replaced. Without a portal nothing happens."""

    clicked = Signal(int)  # the key of a notice

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._listens = False

    def show(self, key: int, title: str, text: str) -> None:
        """Show a notice."""
        shown = {"title": title, "body": text, "default-action": "open"}
        self._call("AddNotification", str(key), shown)

    def withdraw(self, key: int) -> None:
        """Take a notice away, if any was shown."""
        if self._listens:
            self._call("RemoveNotification", str(key))

    def _call(self, method: str, *arguments: object) -> None:
        from PySide6.QtDBus import QDBusConnection, QDBusMessage  # noqa: PLC0415 - not at start

        bus = QDBusConnection.sessionBus()
        if not self._listens:
            # PySide's types want bytes, which it refuses.
            slot: Any = SLOT("_on_action(QString,QString)")
            self._listens = bus.connect(_SERVICE, _PATH, _INTERFACE, "ActionInvoked", self, slot)
        message = QDBusMessage.createMethodCall(_SERVICE, _PATH, _INTERFACE, method)
        message.setArguments(list(arguments))
        bus.asyncCall(message)

    @Slot(str, str)
    def _on_action(self, key: str, _action: str) -> None:
        self.clicked.emit(int(key))


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

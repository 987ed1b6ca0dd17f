"""Qt's application with its translations; a later start of it raises the first window."""

import hashlib
import os
import sys
import time
from pathlib import Path

from PySide6.QtCore import QEvent, QLibraryInfo, QLocale, QObject, QTranslator, Signal, Slot
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import current_language

CONNECT_WAIT_MS = 1000
LISTENER_WAIT_S = 5.0  # a window takes the profile's lock a little before it listens
ASK_AGAIN_S = 0.05
SOCKET_PATH_BYTES = 100
PATH_LIMIT_BYTES = 32 * 1024  # Windows' longest path


class QtTranslator(QTranslator):
    """Qt's translations, also of texts that have got a mnemonic since they were translated.

    The Chinese of Qt 6.11 has "Look in:", which the file dialog now asks for as "&Look in:".
    """

    def translate(
        self, context: str, source: str, disambiguation: str | None = None, n: int = -1
    ) -> str | None:
        """Return the translation; None, which is Qt's null string, where there is none."""
        found = super().translate(context, source, disambiguation, n)
        if not found and "&" in source:
            found = super().translate(context, source.replace("&", ""), disambiguation, n)
        return found or None


def install_qt_translations(app: QApplication) -> None:
    """Replaces the translations of Qt's own texts by those of the current language."""
    for old in app.findChildren(QTranslator):
        app.removeTranslator(old)
        old.deleteLater()
    QLocale.setDefault(QLocale(current_language()))
    translator = QtTranslator(app)
    folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    if translator.load(QLocale(current_language()), "qtbase", "_", folder):
        app.installTranslator(translator)


def _address(profile: Path) -> str:
    """The socket's place: in the profile, which is the user's alone, not in a folder of everybody.

    A socket's path is limited to about 100 bytes; a profile deeper than that gets a name in the
    temporary folder. On Windows it is a pipe's name.
    """
    place = profile.resolve() / "window.socket"
    if sys.platform != "win32" and len(os.fsencode(place)) <= SOCKET_PATH_BYTES:
        return str(place)
    return "r1desk-" + hashlib.sha256(os.fsencode(profile.resolve())).hexdigest()[:16]


def _is_ours(socket: QLocalSocket) -> bool:
    """Whether the socket's file is the user's own: nobody else's program is handed a path."""
    if sys.platform == "win32":
        return True
    try:
        return Path(socket.fullServerName()).stat().st_uid == os.getuid()
    except OSError:
        return False


def raise_running_window(profile: Path, model: str = "") -> bool:
    """Ask the window that holds `profile` to come to the front; False if none answers.

    `model`: the file it is asked to open, if any.
    """
    socket = QLocalSocket()
    end = time.monotonic() + LISTENER_WAIT_S
    socket.connectToServer(_address(profile))
    while not socket.waitForConnected(CONNECT_WAIT_MS):
        if time.monotonic() > end:
            return False
        time.sleep(ASK_AGAIN_S)
        socket.connectToServer(_address(profile))
    if not _is_ours(socket):
        return False
    socket.write(os.fsencode(model) + b"\n")
    socket.waitForBytesWritten(CONNECT_WAIT_MS)
    socket.disconnectFromServer()
    return True


class RaiseListener(QObject):
    """Listens for later starts. The profile's lock, not this, decides who is first."""

    raise_requested = Signal()
    open_requested = Signal(object)  # a model's Path

    def __init__(self, profile: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        QLocalServer.removeServer(_address(profile))  # left behind by a killed window
        self._server.listen(_address(profile))
        self._server.newConnection.connect(self._on_connection)

    @Slot()
    def _on_connection(self) -> None:
        socket = self._server.nextPendingConnection()
        socket.disconnected.connect(socket.deleteLater)
        socket.setReadBufferSize(PATH_LIMIT_BYTES)
        socket.readyRead.connect(self._on_line)
        self.raise_requested.emit()

    @Slot()
    def _on_line(self) -> None:
        socket = self.sender()
        if isinstance(socket, QLocalSocket) and socket.canReadLine():
            path = os.fsdecode(bytes(socket.readLine().data()).rstrip(b"\n"))
            if path:
                self.open_requested.emit(Path(path))


class DesktopApplication(QApplication):
    """Emits `open_requested` with a model's path.

    A model that is double-clicked in the Finder comes as an event, before or after the window
    opened; other systems pass it as an argument.
    """

    open_requested = Signal(Path)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QFileOpenEvent) and event.file():
            self.open_requested.emit(Path(event.file()))
            return True
        return super().event(event)

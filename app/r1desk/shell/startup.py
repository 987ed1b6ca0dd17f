"""Start and end of the application, in this order:

crash capture, profile and its lock, preferences, language, Qt and theme, store, window; the
engine starts behind the visible window. The end goes the other way. A later start of the same
profile raises the first window.
"""

from __future__ import annotations

from r1desk.platform import plain_imports  # noqa: F401 - first, before anything else of Qt

# isort: split
import gc
import hashlib
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import (
    QEvent,
    QMessageLogContext,
    QObject,
    Qt,
    QtMsgType,
    Signal,
    Slot,
    qInstallMessageHandler,
)
from PySide6.QtGui import QFileOpenEvent, QIcon
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from PySide6.QtWidgets import QApplication, QMessageBox

from deepseek_r1 import __version__
from deepseek_r1.core import log
from deepseek_r1.core.heap import keep_heap_small
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.paths import profile_dir
from r1desk import preferences as prefs
from r1desk.platform.qt_application import install_qt_translations, let_copied_text_outlive_python
from r1desk.shell.session import Session
from r1desk.store import Profile, ProfileInUse, StoreError, StoreThread
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.theme.icons import app_icon

CONNECT_WAIT_MS = 1000
LISTENER_WAIT_S = 5.0  # a window takes the profile's lock a little before it listens
ASK_AGAIN_S = 0.05
SOCKET_PATH_BYTES = 100
PATH_LIMIT_BYTES = 32 * 1024  # Windows' longest path


def run(arguments: list[str]) -> int:
    """Open the window and stay until it is closed; returns the exit status.

    `arguments` are the program's name and, where a file was double-clicked, that model's path.
    """
    arguments = [_as_text(argument) for argument in arguments]
    model = model_named(arguments)
    folder = profile_dir()
    _log_to_profile(folder)
    _capture_exceptions(None)
    stored, damaged = prefs.load(folder)
    use_language(stored.language)
    app = create_application(arguments, stored)
    try:
        profile = Profile.open(folder)
    except ProfileInUse as in_use:
        if not raise_running_window(folder, model):
            QMessageBox.warning(None, tr("R1 Desk"), str(in_use))
        return 0
    except StoreError as unusable:
        QMessageBox.critical(None, tr("R1 Desk"), str(unusable))
        return unusable.exit_code
    listener = RaiseListener(folder)
    store = StoreThread(profile.database)
    session = Session(profile, store, stored, damaged)
    _capture_exceptions(session)
    listener.raise_requested.connect(session.raise_window)
    listener.open_requested.connect(session.models.choose)  # the window may be another one by then
    app.open_requested.connect(session.models.choose)
    session.show()
    if model:
        session.models.choose(Path(model))
    status = app.exec()
    session.close()
    store.close()
    profile.close()
    let_copied_text_outlive_python()
    return status


def model_named(arguments: list[str]) -> str:
    """The full path of the file that the program was started with; empty without one."""
    files = [argument for argument in arguments[1:] if not argument.startswith("-")]
    return _as_text(str(Path(files[0]).absolute())) if files else ""


def _as_text(argument: str) -> str:
    """With question marks for bytes that are no text; Linux allows them in names, Qt crashes.

    The window can then say which file it cannot find.
    """
    return argument.encode(errors="replace").decode()


def create_application(arguments: list[str], stored: prefs.Preferences) -> DesktopApplication:
    """Qt with our theme, language and name."""
    keep_heap_small()
    use_system_dialogs()
    qInstallMessageHandler(_on_qt_message)
    DesktopApplication.setHighDpiScaleFactorRoundingPolicy(
        Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    )
    # Else Qt's own file dialog looks for its icons in each folder of the desktop's: 0.2 s.
    QIcon.setThemeSearchPaths([":/icons"])
    app = DesktopApplication(arguments)
    app.setApplicationName("r1desk")
    app.setApplicationDisplayName("R1 Desk")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("r1desk")
    apply_theme(app, ThemeChoice(stored.theme))
    app.setWindowIcon(app_icon())
    app.setCursorFlashTime(0)  # a cursor that blinks paints seven widgets, twice a second
    install_qt_translations(app)
    # No collection walks what exists now: modules and classes, which stay. Nothing is collected
    # before: of 110,000 objects that would free 900.
    gc.freeze()
    return app


def use_system_dialogs() -> None:
    """Take the file dialogs of a Linux desktop through its portal, where it has one."""
    folders = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    service = "dbus-1/services/org.freedesktop.portal.Desktop.service"
    desktop = ("XDG_CURRENT_DESKTOP", "DBUS_SESSION_BUS_ADDRESS")
    if sys.platform == "linux" and all(os.environ.get(name) for name in desktop):
        if any((Path(folder) / service).exists() for folder in folders.split(":")):
            os.environ.setdefault("QT_QPA_PLATFORMTHEME", "xdgdesktopportal")


def _log_to_profile(folder: Path) -> None:
    """Log and native crash traces below the profile; a read-only one has no log."""
    try:
        log.to_file(folder / "logs", "window")
    except OSError as error:
        log.window.warning("no log file: %s", error)


def _capture_exceptions(session: Session | None) -> None:
    """Unexpected exceptions go to the log, to the terminal and, once there is one, the window."""

    def report(
        kind: type[BaseException], value: BaseException, trace: TracebackType | None
    ) -> None:
        log.window.critical("unexpected", exc_info=(kind, value, trace))
        sys.__excepthook__(kind, value, trace)
        if session is not None:
            session.bug_found.emit(f"{kind.__name__}: {value}")  # a signal: any thread may fail

    sys.excepthook = report
    threading.excepthook = lambda args: report(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )


def _on_qt_message(kind: QtMsgType, _context: QMessageLogContext, message: str) -> None:
    if kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
        log.window.warning("Qt: %s", message)
    if kind == QtMsgType.QtFatalMsg and sys.stderr is not None:
        # The process ends after this. In a terminal there has to be a reason, in Qt's own words.
        print(f"{message}\n{profile_dir() / 'logs' / 'window.log'}", file=sys.stderr)  # noqa: T201


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

"""The server's process, as the window sees it: its state, messages out, messages in as signals."""

import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel
from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.core import frames, log
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
)
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_
from deepseek_r1.core.processes import (
    ChildKind,
    background_options,
    child_command,
    child_environment,
)
from deepseek_r1.host.sharing_protocol import SharingClient, from_server_adapter
from r1desk.platform.helper_processes import add_helper, remove_helper

WAIT_S = 0.005  # between looks for the end of a killed process


class ServerProcess(QObject):
    """A running server. Lives in the main thread; it starts in the constructor.

    Its memory counts as the window's. Raises OSError where it cannot be started.
    """

    received = Signal(object)  # a message of `sharing_protocol.FromServer`
    ended = Signal(int, str)  # the last: the exit status, the end of standard error
    _pending = Signal()  # from the thread that reads

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._events: deque[ProcessEvent] = deque()
        self._over = False
        self._pending.connect(self._handle_events, Qt.ConnectionType.QueuedConnection)
        self._process = ChildProcess(
            child_command(ChildKind.SHARED_SERVER),
            child_environment(),
            from_server_adapter,
            self._on_process_event,
            background_options(),
        )
        add_helper(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: BaseModel) -> None:
        """Write a message; `ended` follows a ShutdownRequest. Does nothing once it has ended."""
        if not self._over:
            self._process.send(frames.pack(message, frames.TO_CHILD_CAP))

    def close(self) -> None:
        """End the process and wait for it: the application closes. It has nothing to save."""
        self.blockSignals(True)
        if not self._over:
            self._process.kill()
        while not self._over:
            self._handle_events()
            time.sleep(WAIT_S)

    def _on_process_event(self, event: ProcessEvent) -> None:
        """The thread that reads."""
        self._events.append(event)
        self._pending.emit()

    @Slot()
    def _handle_events(self) -> None:
        for _ in range(len(self._events)):  # what comes meanwhile has a signal of its own
            match self._events.popleft():
                case FrameReceived(process, reply):
                    process.frame_handled()
                    self.received.emit(reply)
                case StreamBroken(process, error):
                    log.window.warning("the server's process is ended: %s", error)
                    process.kill()
                case ProcessExited(process, returncode):
                    self._over = True
                    remove_helper(process.pid)
                    process.close()
                    self.ended.emit(returncode, process.stderr)


SERVER_MIB = 64  # of the server's process, measured


class NoMemoryForServer(R1Error):
    """The budget has no room for the server's process."""

    what = N_("The server needs {needed_mib} of the memory budget, which has {left_mib} left.")
    todo = N_("Raise the memory budget by {needed_more_mib}, or choose a smaller model.")


class ServerEnded(R1Error):
    """The server's process ended without being asked to."""

    what = N_("The server ended with status {status}. {detail}")
    todo = N_("Switch it on again.")


class ServerLibrariesMissing(R1Error):
    """The optional libraries are not installed."""

    what = N_("The server's libraries are missing.")
    todo = N_("Install them: pip install 'r1desk[serve]'.")


class ServingPhase(StrEnum):
    """Where the server is between off and on, in words."""

    OFF = N_("Switched off")
    STARTING = N_("Starting")
    ON = N_("On")
    ENDING = N_("Ending")


@dataclass(frozen=True, slots=True)
class ServingState:
    """Everything that is shown. `problem` says why the server is off although it was wanted."""

    phase: ServingPhase = ServingPhase.OFF
    address: str = ""  # of the API, with its path
    key: str = ""
    port: int = 0
    model: str = ""  # the name for clients; empty while none is loaded
    model_name: str = ""  # the short one for people
    clients: tuple[SharingClient, ...] = ()
    problem: str = ""

    @property
    def wanted(self) -> bool:
        """Whether the switch is on."""
        return self.phase in (ServingPhase.STARTING, ServingPhase.ON)

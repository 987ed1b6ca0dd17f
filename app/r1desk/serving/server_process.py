"""The server's process, as the window sees it: messages out, messages in as signals."""

import time
from collections import deque

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
from deepseek_r1.core.processes import (
    ChildKind,
    background_options,
    child_command,
    child_environment,
)
from deepseek_r1.host.sharing_protocol import from_server_adapter
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

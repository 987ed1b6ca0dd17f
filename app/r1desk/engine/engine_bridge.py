"""Connects the window with the engine: requests go in, their events come back as signals.

`EngineThread` hosts the supervisor, which starts, feeds, watches and restarts the child process.
All else of the window lives in the main thread.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core import log
from deepseek_r1.core.errors import ModelFileUnreadable
from deepseek_r1.core.events import AnswerDelta, Bill, Event, ModelLoaded, ThinkingDelta
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host import protocol
from deepseek_r1.host.comparison import Comparison
from deepseek_r1.host.protocol import EngineState, HostEvent, RestartRequest, StateChanged
from deepseek_r1.host.supervisor import Supervisor
from deepseek_r1.memory.forecast import Estimate, model_bill
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Later

TEXT_EVERY_MS = 40


class EngineThread(QThread):
    """Runs the supervisor until it is asked to stop.

    At a hundred tokens a second, waking the main thread for each of them would take several
    percent of a core from the engine. So text that follows text waits to be collected; the first
    text of an answer, and any other event, wakes it at once.
    """

    events_pending = Signal()  # emitted in this thread: call `collect`

    def __init__(self, parent: QObject | None = None, command: Sequence[str] | None = None) -> None:
        """`command`: the engine's command line, where it is not this installation's own."""
        super().__init__(parent)
        self.supervisor = Supervisor(self.on_event, command=command)
        self.wakes_for_text = True
        self._pending: deque[HostEvent] = deque()

    def on_event(self, event: HostEvent) -> None:
        """Queue an event for the main thread. The supervisor's thread."""
        self._pending.append(event)
        if not _is_text(event):
            self.events_pending.emit()
        elif self.wakes_for_text:
            self.wakes_for_text = False
            self.events_pending.emit()

    def collect(self) -> Iterator[HostEvent]:
        """The events since the last call, in order. Main thread."""
        while self._pending:
            yield self._pending.popleft()

    def run(self) -> None:
        self.supervisor.run()


def _is_text(event: HostEvent) -> bool:
    return isinstance(event, protocol.EventReply) and isinstance(
        event.event, AnswerDelta | ThinkingDelta
    )


class EngineRequest:
    """A request that was sent; its events come by `async for`, its closing reply by `await`.

    Both raise the R1Error with which it failed.
    """

    def __init__(self, request_id: int, supervisor: Supervisor) -> None:
        self.id = request_id
        self._supervisor = supervisor
        self._events: Later[Event] = Later()
        self._reply: Later[protocol.ClosingReply] = Later()

    def __aiter__(self) -> Later[Event]:
        return self._events

    def __await__(self) -> Generator[Later[Any], None, Any]:
        return self._reply.__await__()

    def take(self, event: Event) -> None:
        self._events.give(event)

    def close(self, reply: protocol.ClosingReply) -> None:
        """This is the last that the engine says."""
        if isinstance(reply, protocol.ErrorReply):
            self._events.end(reply.report.error)
            self._reply.end(reply.report.error)
        else:
            self._events.end()
            self._reply.give(reply)

    def cancel(self) -> None:
        """End an answer or a load early. Does nothing once the request is closed."""
        self._supervisor.post(protocol.CancelRequest(id=self.id))

    def end_thinking(self) -> None:
        """Close the thinking block of an answer. Does nothing once the answer has begun."""
        self._supervisor.post(protocol.EndThinkingRequest(id=self.id))


class BillReader:
    """Reads the memory bills of model files, one after the other, in threads and a child process.

    Lives in the main thread, which gets the results.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process = HeaderProcess()
        self._closed = False
        self._speed_known: Bill | None = None  # the last bill that had the disk's speed

    def ask(
        self, path: Path, settings: LoadSettings, window_mib: float, *, measure_disk: bool = True
    ) -> Later[Estimate]:
        """Ask for the `Estimate` of a file with these settings."""
        return ask_in_background(self._bill, path, settings, window_mib, measure_disk)

    def with_disk_speed(self, bill: Bill) -> Bill:
        """Add the speed that was measured last to the bill of a model that runs from the disk."""
        if bill.disk_mib_s or not bill.streams or self._speed_known is None:
            return bill
        return bill.with_speed_of(self._speed_known)

    def close(self) -> None:
        """End the header process; the bills that are due fail."""
        self._closed = True
        self._process.close()

    def _bill(
        self, path: Path, settings: LoadSettings, window_mib: float, measure_disk: bool
    ) -> Estimate:
        with self._turn:
            if self._closed:
                raise ModelFileUnreadable(path=str(path), detail="")
            try:
                found = model_bill(
                    self._process.read_header, path, settings, window_mib, measure_disk=measure_disk
                )
            finally:
                self._process.close()
            if found.bill.disk_mib_s:
                self._speed_known = found.bill
            return found


class EngineBridge(QObject):
    """The engine for the window. Every method returns at once."""

    # EngineState and its detail; also where `comparison` is another one
    state_changed = Signal(object, str)
    heartbeat = Signal(object)  # a `protocol.Heartbeat`
    event_received = Signal(object)  # a `core.events.Event` of any request
    model_loaded = Signal(object)  # ModelLoaded, also of a reload that the supervisor did by itself

    def __init__(self, parent: QObject | None = None, command: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self.command = command
        self._ids = count(1)
        self._requests: dict[int, EngineRequest] = {}
        self._thread = EngineThread(self, command)
        self._thread.events_pending.connect(self._on_events_pending)
        self._text_timer = QTimer(self, interval=TEXT_EVERY_MS)
        self._text_timer.timeout.connect(self._on_text_due)
        self._stopped = False
        self.state = EngineState.STOPPED
        self.engine_pid = 0
        self.engine_name = ""
        self.bills = BillReader()
        self.prompt_cache: protocol.PromptCacheFolder | None = None  # of the next load
        self.comparison: Comparison | None = None  # that runs

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the child process and the thread. Blocks at most a few seconds, at exit only.

        Events that are still pending are dropped: nobody is left who could act on them.
        """
        self._stopped = True
        self.bills.close()
        self._text_timer.stop()
        self._thread.supervisor.request_stop()
        self._thread.wait()

    def submit(self, kind: type[protocol.AnsweredRequest], **fields: Any) -> EngineRequest:
        """Send a request of this kind, with the fields of its model. Returns its handle.

        A refusal is recorded in the log, also where nobody awaits it.
        """
        request = kind(id=next(self._ids), **fields)
        handle = EngineRequest(request.id, self._thread.supervisor)
        self._requests[request.id] = handle
        self._thread.supervisor.post(request)
        return handle

    def set_comparison(self, comparison: Comparison | None) -> None:
        """Other models run, in engines of their own, or do no more."""
        self.comparison = comparison
        self.state_changed.emit(self.state, "")

    def restart(self) -> None:
        self._thread.supervisor.post(RestartRequest())

    @Slot()
    def _on_events_pending(self) -> None:
        if self._stopped:
            return
        if not self._thread.wakes_for_text and not self._text_timer.isActive():
            self._text_timer.start()
        for event in self._thread.collect():
            self._emit(event)

    @Slot()
    def _on_text_due(self) -> None:
        """Emit the text that has arrived; after a pause the next text wakes the thread again."""
        found = False
        for event in self._thread.collect():
            found = True
            self._emit(event)
        if not found:
            self._text_timer.stop()
            self._thread.wakes_for_text = True
            self._on_events_pending()  # text that arrived between the two lines above

    def _emit(self, event: HostEvent) -> None:
        match event:
            case StateChanged():
                self.state = event.state
                if event.state in (EngineState.STOPPED, EngineState.FAILED):
                    self.engine_pid = 0
                self.state_changed.emit(event.state, event.detail)
            case protocol.Handshake():
                self.engine_pid, self.engine_name = event.pid, event.engine
            case protocol.Heartbeat():
                self.heartbeat.emit(event)
            case protocol.EventReply():
                self._emit_event(event)
            case _:
                self._close(event)

    def _emit_event(self, reply: protocol.EventReply) -> None:
        request = self._requests.get(reply.id)
        if request is not None:
            request.take(reply.event)
        if isinstance(reply.event, ModelLoaded):
            self.model_loaded.emit(reply.event)
        self.event_received.emit(reply.event)

    def _close(self, reply: protocol.ClosingReply) -> None:
        if isinstance(reply, protocol.ErrorReply):
            log.window.info("the engine refused: %s", reply.report.text())
        if (request := self._requests.pop(reply.id, None)) is not None:
            request.close(reply)

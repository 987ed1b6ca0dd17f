"""The one place where the engine's notices become signals, and wishes become its requests.

`EngineWorker` is the thread that hosts the engine's lifetime: it starts, feeds, watches and
restarts the child process. Everything else of the window lives in the main thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import AnswerDelta, ThinkingDelta
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host import protocol
from deepseek_r1.host.supervisor import EngineState, Notice, Restart, StateChanged, Supervisor
from r1desk.store import Store, StoreThread

TEXT_EVERY_MS = 40

Result = TypeVar("Result")


class EngineWorker(QThread):
    """Runs the supervisor until it is asked to stop.

    At a hundred tokens a second, waking the main thread for each of them would take several
    percent of a core from the engine. So text that follows on text waits to be taken; the first
    text of an answer, and what is not text, does not.
    """

    noticed = Signal()  # there is something to `take`; emitted in this thread

    def __init__(self, parent: QObject | None = None, command: Sequence[str] | None = None) -> None:
        """`command`: the engine's command line, where it is not this installation's own."""
        super().__init__(parent)
        self.supervisor = Supervisor(self._on_notice, command=command)
        self.tells_of_text = True
        self._notices: deque[Notice] = deque()

    def _on_notice(self, notice: Notice) -> None:
        self._notices.append(notice)
        if not _is_text(notice):
            self.noticed.emit()
        elif self.tells_of_text:
            self.tells_of_text = False
            self.noticed.emit()

    def take(self) -> Iterator[Notice]:
        """What has come since the last time, in its order. Main thread."""
        while self._notices:
            yield self._notices.popleft()

    def run(self) -> None:
        """The thread's body."""
        self.supervisor.run()


def _is_text(notice: Notice) -> bool:
    return isinstance(notice, protocol.EventFrame) and isinstance(
        notice.event, AnswerDelta | ThinkingDelta
    )


class EngineBridge(QObject):
    """The engine as the window sees it. Every method returns at once, answers are signals."""

    state_changed = Signal(object, str)  # EngineState, detail
    event = Signal(int, object)  # request, core.events.Event
    failed = Signal(int, ErrorReport)  # request
    done = Signal(int)  # request
    inspected = Signal(object)  # protocol.Inspected
    beat = Signal(object)  # protocol.Beat

    def __init__(self, parent: QObject | None = None, command: Sequence[str] | None = None) -> None:
        super().__init__(parent)
        self._ids = count(1)
        self._worker = EngineWorker(self, command)
        self._worker.noticed.connect(self._on_noticed)
        self._text_timer = QTimer(self, interval=TEXT_EVERY_MS)
        self._text_timer.timeout.connect(self._on_text_due)
        self.state = EngineState.STOPPED
        self.engine_pid = 0
        self.engine_name = ""

    def start(self) -> None:
        """Start the worker thread; the child process starts with it."""
        self._worker.start()

    def stop(self) -> None:
        """End the child process and the thread. Blocks at most a few seconds, at exit only."""
        self._worker.supervisor.request_stop()
        self._worker.wait()

    def load(self, path: Path, settings: LoadSettings, window_mib: float) -> int:
        """Load a model in place of the present one."""
        request = protocol.Load(
            id=next(self._ids), path=str(path), settings=settings, window_mib=window_mib
        )
        return self._post(request)

    def inspect(self, path: Path, settings: LoadSettings, window_mib: float) -> int:
        """Ask for the bill of a model without loading it."""
        request = protocol.Inspect(
            id=next(self._ids), path=str(path), settings=settings, window_mib=window_mib
        )
        return self._post(request)

    def generate(self, messages: Sequence[Message], sampling: SamplingSettings) -> int:
        """Answer a conversation."""
        request = protocol.Generate(id=next(self._ids), messages=tuple(messages), sampling=sampling)
        return self._post(request)

    def cancel(self, request_id: int) -> None:
        """Stop an answer or a load."""
        self._worker.supervisor.post(protocol.Cancel(id=request_id))

    def set_threads(self, threads: int, threads_prefill: int) -> int:
        """Change the thread counts, also in the middle of an answer."""
        request = protocol.SetThreads(
            id=next(self._ids), threads=threads, threads_prefill=threads_prefill
        )
        return self._post(request)

    def set_budget(self, memory_budget: int, window_mib: float) -> int:
        """Change the budget of a model that runs from the disk, also in the middle of an answer."""
        request = protocol.SetBudget(
            id=next(self._ids), memory_budget=memory_budget, window_mib=window_mib
        )
        return self._post(request)

    def measure_threads(self) -> int:
        """Find the thread counts that suit the loaded model; takes up to 20 seconds."""
        return self._post(protocol.MeasureThreads(id=next(self._ids)))

    def unload(self) -> int:
        """Give the model's memory back."""
        return self._post(protocol.Unload(id=next(self._ids)))

    def restart(self) -> None:
        """Start again after the restart budget was used up."""
        self._worker.supervisor.post(Restart())

    def _post(self, request: protocol.Request) -> int:
        self._worker.supervisor.post(request)
        return request.id

    @Slot()
    def _on_noticed(self) -> None:
        if not self._worker.tells_of_text and not self._text_timer.isActive():
            self._text_timer.start()
        for notice in self._worker.take():
            self._pass_on(notice)

    @Slot()
    def _on_text_due(self) -> None:
        """Take the text that has come; where none came, be told of the next at once."""
        found = False
        for notice in self._worker.take():
            found = True
            self._pass_on(notice)
        if not found:
            self._text_timer.stop()
            self._worker.tells_of_text = True
            self._on_noticed()  # what came between the two lines above

    def _pass_on(self, notice: Notice) -> None:
        match notice:
            case StateChanged():
                self.state = notice.state
                if notice.state in (EngineState.STOPPED, EngineState.FAILED):
                    self.engine_pid = 0
                self.state_changed.emit(notice.state, notice.detail)
            case protocol.Hello():
                self.engine_pid, self.engine_name = notice.pid, notice.engine
            case protocol.EventFrame():
                self.event.emit(notice.id, notice.event)
            case protocol.Failed():
                self.failed.emit(notice.id, notice.report)
            case protocol.Done():
                self.done.emit(notice.id)
            case protocol.Inspected():
                self.inspected.emit(notice)
            case protocol.Beat():
                self.beat.emit(notice)


class StoreBridge(QObject):
    """Runs store work on the store's thread and brings the result back to the main thread."""

    opened = Signal(object)  # store.Opening
    failed = Signal(object)  # an exception nobody else took
    _finished = Signal(object, object, object)  # then, otherwise, Future

    def __init__(self, store: StoreThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._closed = False
        self._finished.connect(self._on_finished)
        self._watch(store.opened, self.opened.emit, None)

    def call(
        self,
        work: Callable[[Store], Result],
        then: Callable[[Result], None] | None = None,
        otherwise: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do `work` in the store; then `then(result)` here, or `otherwise(error)`."""
        self._watch(self._store.submit(work), then, otherwise)

    def close(self) -> None:
        """What was submitted is still done; nobody here is told any more."""
        self._closed = True

    def save_progress(
        self,
        message_id: int,
        content: str,
        thinking: str,
        otherwise: Callable[[Exception], None],
    ) -> None:
        """Save what there is of an answer; a slow disk is given only the newest state."""
        future = self._store.save_progress(message_id, content, thinking)
        self._watch(future, None, otherwise)

    def _watch(
        self,
        future: Future[Result],
        then: Callable[[Result], None] | None,
        otherwise: Callable[[Exception], None] | None,
    ) -> None:
        future.add_done_callback(lambda done: self._finished.emit(then, otherwise, done))

    @Slot(object, object, object)
    def _on_finished(
        self,
        then: Callable[[object], None] | None,
        otherwise: Callable[[Exception], None] | None,
        future: Future[object],
    ) -> None:
        if self._closed:
            return
        error = future.exception()
        if error is None:
            if then is not None:
                then(future.result())
        elif otherwise is not None and isinstance(error, Exception):
            otherwise(error)
        else:
            self.failed.emit(error)

"""The engine in a child process as plain blocking calls, for the command line and for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import Event, ModelLoaded, ThreadsMeasured
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.host.notices import EngineState, Notice, Restart, StateChanged
from deepseek_r1.host.protocol import (
    INSPECT_DEADLINE_S,
    AnsweredRequest,
    Beat,
    Cancel,
    ClosingReply,
    Counted,
    CountTokens,
    Done,
    EventFrame,
    Failed,
    Generate,
    Hello,
    Inspect,
    Inspected,
    Load,
    MeasureThreads,
    SetBudget,
    SetThreads,
    Unload,
)
from deepseek_r1.host.supervisor import Supervisor
from deepseek_r1.host.watch import HangLimits, RestartBudget

_Answers = SimpleQueue[EventFrame | ClosingReply | None]
Answer = TypeVar("Answer", Inspected, Counted, Done)


class EngineClient:
    """A context manager. Calls raise the R1Error that the engine or its supervisor reports."""

    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        limits: HangLimits | None = None,
        budget: RestartBudget | None = None,
        on_notice: Callable[[Notice], None] | None = None,
    ) -> None:
        self._on_notice = on_notice
        self._supervisor = Supervisor(self._take, command=command, limits=limits, budget=budget)
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._ids = count(1)
        self._lock = threading.Lock()
        self._answers: dict[int, _Answers] = {}
        self._over = False
        self._generating: int | None = None
        self._loading: int | None = None
        self.state = EngineState.STOPPED
        self.beat: Beat | None = None
        self.hello: Hello | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the engine. May be called twice."""
        self._supervisor.request_stop()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def pid(self) -> int | None:
        """The engine's process, where one is or was."""
        return self.hello.pid if self.hello is not None else None

    def inspect(
        self,
        path: str | Path,
        settings: LoadSettings | None = None,
        *,
        window_mib: float = 0.0,
        deadline_s: float = INSPECT_DEADLINE_S,
    ) -> Inspected:
        """What a file is and what it would cost. A verdict comes within `deadline_s`."""
        request = Inspect(
            id=next(self._ids),
            path=str(path),
            settings=settings or LoadSettings(),
            window_mib=window_mib,
            deadline_s=deadline_s,
        )
        return self._only(self._ask(request), Inspected)

    def load(
        self,
        path: str | Path,
        settings: LoadSettings | None = None,
        *,
        window_mib: float = 0.0,
        deadline_s: float | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> ModelLoaded:
        """Load a model. `on_event` sees the progress."""
        request = Load(
            id=next(self._ids),
            path=str(path),
            settings=settings or LoadSettings(),
            window_mib=window_mib,
            deadline_s=deadline_s,
        )
        self._loading = request.id
        loaded: ModelLoaded | None = None
        for reply in self._ask(request):
            if isinstance(reply, EventFrame):
                if isinstance(reply.event, ModelLoaded):
                    loaded = reply.event
                if on_event is not None:
                    on_event(reply.event)
        if loaded is None:
            raise EngineFailed(detail=tr("the load ended without a model"))
        return loaded

    def generate(
        self,
        messages: str | Sequence[Message],
        sampling: SamplingSettings | None = None,
        *,
        json_schema: str = "",
    ) -> Iterator[Event]:
        """The events of an answer as they come; load events first where the model comes back.

        The request is sent with the first `next()`. Leaving the iteration early cancels the answer.
        `json_schema`, as JSON text, is what the answer is held to.
        """
        if isinstance(messages, str):
            messages = (Message(role=Role.USER, content=messages),)
        request = Generate(
            id=next(self._ids),
            messages=tuple(messages),
            sampling=sampling or SamplingSettings(),
            json_schema=json_schema,
        )
        self._generating = request.id
        for reply in self._ask(request):
            if isinstance(reply, EventFrame):
                yield reply.event

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How long a conversation is for the loaded model."""
        request = CountTokens(id=next(self._ids), messages=tuple(messages))
        return self._only(self._ask(request), Counted).tokens

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Compute with other thread counts from the next token on; 0 is automatic. Any thread."""
        request = SetThreads(id=next(self._ids), threads=threads, threads_prefill=threads_prefill)
        self._only(self._ask(request), Done)

    def set_budget(self, memory_budget: int) -> None:
        """Another budget in MiB for a model that runs from the disk. Any thread."""
        self._only(self._ask(SetBudget(id=next(self._ids), memory_budget=memory_budget)), Done)

    def measure_threads(self) -> ThreadsMeasured:
        """Find and remember the thread counts that suit the loaded model; up to 20 seconds."""
        replies = self._ask(MeasureThreads(id=next(self._ids)))
        events = [reply.event for reply in replies if isinstance(reply, EventFrame)]
        measured = next((each for each in events if isinstance(each, ThreadsMeasured)), None)
        if measured is None:
            raise EngineFailed(detail=tr("the measurement ended without a result"))
        return measured

    def unload(self) -> None:
        """Give the model's memory back."""
        self._only(self._ask(Unload(id=next(self._ids))), Done)

    def cancel(self) -> None:
        """End the running answer and the running load early. Any thread."""
        for request_id in (self._generating, self._loading):
            if request_id is not None:
                self._supervisor.post(Cancel(id=request_id))

    def restart(self) -> None:
        """Start the engine anew, also after it was given up. Does not wait for it."""
        self._supervisor.post(Restart())

    # ---- inside -----------------------------------------------------------------------------

    def _ask(self, request: AnsweredRequest) -> Iterator[EventFrame | ClosingReply]:
        """Send a request and yield what comes, the closing reply last."""
        answers: _Answers = SimpleQueue()
        with self._lock:
            if self._over:
                raise EngineFailed(detail=tr("the engine was closed"))
            self._answers[request.id] = answers
        self._supervisor.post(request)
        closed = False
        try:
            while not closed:
                reply = answers.get()
                closed = not isinstance(reply, EventFrame)
                if isinstance(reply, Failed):
                    raise reply.report.error
                if reply is None:
                    raise EngineFailed(detail=tr("the engine was closed"))
                yield reply
        finally:
            if not closed:
                self._supervisor.post(Cancel(id=request.id))
                while isinstance(answers.get(), EventFrame):
                    pass
            with self._lock:
                self._answers.pop(request.id, None)

    def _only(self, replies: Iterator[EventFrame | ClosingReply], kind: type[Answer]) -> Answer:
        """The closing reply of a request without events."""
        *_, reply = replies
        if not isinstance(reply, kind):
            raise TypeError(f"{reply.kind} closed a request that ends with {kind.__name__}")
        return reply

    def _run(self) -> None:
        try:
            self._supervisor.run()
        finally:
            with self._lock:
                self._over = True
                waiting = list(self._answers.values())
            for answers in waiting:
                answers.put(None)

    def _take(self, notice: Notice) -> None:
        match notice:
            case StateChanged(state=state):
                self.state = state
            case Beat():
                self.beat = notice
            case Hello():
                self.hello = notice
            case _:
                with self._lock:
                    answers = self._answers.get(notice.id)
                if answers is not None:
                    answers.put(notice)
        if self._on_notice is not None:
            self._on_notice(notice)

"""Runs the engine in a child process behind plain blocking calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import Event, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, RawPrompt, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.engine_session import HangLimits, RestartBudget
from deepseek_r1.host.in_flight import OpenRequests, ReceiverT
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    ClosingReply,
    CountTokensReply,
    CountTokensRequest,
    DoneReply,
    EmbeddingReply,
    EndThinkingRequest,
    EngineState,
    ErrorReply,
    EventReply,
    GenerateRequest,
    Handshake,
    Heartbeat,
    HostEvent,
    LoadRequest,
    SetBudgetRequest,
    SimilaritiesRequest,
    StateChanged,
)
from deepseek_r1.host.supervisor import Supervisor

_ReplyT = TypeVar("_ReplyT", bound=ClosingReply)


class BlockingRequest:
    """A request that was sent: its events as they arrive, then its closing reply."""

    def __init__(self, request_id: int, cancel: Callable[[], None]) -> None:
        self.id = request_id
        self.cancel = cancel
        self._replies: SimpleQueue[EventReply | ClosingReply | None] = SimpleQueue()
        self.closing: ClosingReply | None = None  # once it has come
        self._closed = False

    def put(self, reply: EventReply | ClosingReply | None) -> None:
        """Hand over a reply; None where the engine was closed. The supervisor's thread."""
        self._replies.put(reply)

    def events(self) -> Iterator[Event]:
        """The events until the closing reply. Leaving the iteration early cancels the request.

        Raises the R1Error that the engine or its supervisor reports.
        """
        try:
            while isinstance(reply := self._next(), EventReply):
                yield reply.event
            if reply is None:
                raise EngineFailed(detail=tr("the engine was closed"))
            if isinstance(reply, ErrorReply):
                raise reply.report.error
            self.closing = reply
        finally:
            if not self._closed:
                self.cancel()
                while not self._closed:
                    self._next()

    def _next(self) -> EventReply | ClosingReply | None:
        reply = self._replies.get()
        self._closed = not isinstance(reply, EventReply)
        return reply


class EngineClient:
    """A context manager. Calls raise the R1Error that the engine or its supervisor reports."""

    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        limits: HangLimits | None = None,
        budget: RestartBudget | None = None,
        on_event: Callable[[HostEvent], None] | None = None,
    ) -> None:
        self._observer = on_event
        self._supervisor = Supervisor(self._on_event, command=command, limits=limits, budget=budget)
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.requests = OpenRequests(self._supervisor.post)
        self._generating: BlockingRequest | None = None
        self._loading: BlockingRequest | None = None
        self.state = EngineState.STOPPED
        self.pid: int | None = None  # of the engine's process, where there is or was one

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engine. May be called twice."""
        self._supervisor.request_stop()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, kind: type[AnsweredRequest], **fields: Any) -> BlockingRequest:
        """Send a request of this kind. Any thread."""
        return self.submit_as(BlockingRequest, kind, **fields)

    def submit_as(
        self,
        make: Callable[[int, Callable[[], None]], ReceiverT],
        kind: type[AnsweredRequest],
        **fields: Any,
    ) -> ReceiverT:
        """Send a request whose replies go to `make(id, cancel)`. Any thread."""
        return self.requests.submit(make, kind, **fields)

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The engine's last sign of life."""
        return self.requests.heartbeat

    def load(
        self,
        path: str | Path,
        settings: LoadSettings | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        **fields: Any,
    ) -> ModelLoaded:
        """Load a model; `fields` are others of `LoadRequest`. `on_event` gets its progress."""
        chosen = settings or LoadSettings()
        self._loading = self.submit(LoadRequest, path=str(path), settings=chosen, **fields)
        loaded: ModelLoaded | None = None
        for event in self._loading.events():
            if isinstance(event, ModelLoaded):
                loaded = event
            if on_event is not None:
                on_event(event)
        if loaded is None:
            raise EngineFailed(detail=tr("the load ended without a model"))
        return loaded

    def generate(
        self,
        messages: str | Sequence[Message] | RawPrompt,
        sampling: SamplingSettings | None = None,
        **fields: Any,
    ) -> Iterator[Event]:
        """The events of an answer as they arrive; load events first after a crash.

        The request is sent with the first `next()`. Leaving the iteration early cancels the answer.
        `fields` are further ones of `GenerateRequest`.
        """
        if isinstance(messages, str):
            messages = (Message(role=Role.USER, content=messages),)
        raw = messages if isinstance(messages, RawPrompt) else None
        self._generating = self.submit(
            GenerateRequest,
            messages=() if isinstance(messages, RawPrompt) else tuple(messages),
            raw=raw,
            sampling=sampling or SamplingSettings(),
            **fields,
        )
        yield from self._generating.events()

    def count_tokens(self, text: str) -> int:
        """Return the length in tokens of a prompt with this one message, template included."""
        message = Message(role=Role.USER, content=text)
        return self._closing(CountTokensReply, CountTokensRequest, messages=(message,)).tokens

    def similarities(self, question: str, passages: tuple[str, ...]) -> tuple[float, ...]:
        """Return how near each passage is to a question: see `CPUInference.similarities`."""
        fields = {"question": question, "passages": passages}
        return self._closing(EmbeddingReply, SimilaritiesRequest, **fields).values

    def set_budget(self, memory_budget: int, window_mib: float) -> None:
        """Change the budget in MiB, and this process's share of it, of a streamed model."""
        fields = {"memory_budget": memory_budget, "window_mib": window_mib}
        self._closing(DoneReply, SetBudgetRequest, **fields)

    def _closing(self, reply: type[_ReplyT], kind: type[AnsweredRequest], **fields: Any) -> _ReplyT:
        request = self.submit(kind, **fields)
        for _ in request.events():
            pass
        assert isinstance(request.closing, reply)  # noqa: S101 - the host's own reply
        return request.closing

    def cancel(self) -> None:
        """End the running answer and the running load early. Any thread."""
        for request in (self._generating, self._loading):
            if request is not None:
                request.cancel()

    def end_thinking(self) -> None:
        """Close the thinking block of the running answer, which goes on. Any thread."""
        if (request := self._generating) is not None:
            self._supervisor.post(EndThinkingRequest(id=request.id))

    # ---- the supervisor's thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._supervisor.run()
        finally:
            self.requests.close()

    def _on_event(self, event: HostEvent) -> None:
        match event:
            case StateChanged(state=state):
                self.state = state
            case Handshake(pid=pid):
                self.pid = pid
            case _:
                self.requests.hand_over(event)
        if self._observer is not None:
            self._observer(event)

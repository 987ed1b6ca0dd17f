"""What becomes of each request: sent, held back until a model is there, or refused.

The desk remembers the model that was loaded last, so that a question after a crash loads it again.
A file that took the engine down while it was loading is not loaded again by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from deepseek_r1.core.errors import (
    EngineBusy,
    ErrorReport,
    LoadStopped,
    ModelNotLoaded,
    R1Error,
    WrongUsage,
)
from deepseek_r1.core.events import (
    FinishReason,
    GenerationFinished,
    GenerationStats,
    LoadProgress,
    ModelLoaded,
)
from deepseek_r1.core.words import tr
from deepseek_r1.host.frames import FrameTooLong
from deepseek_r1.host.ledger import Ledger
from deepseek_r1.host.notices import EngineState
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    Cancel,
    ClosingReply,
    CountTokens,
    Done,
    EventFrame,
    Failed,
    Generate,
    Inspect,
    Load,
    MeasureThreads,
    Reply,
    SetBudget,
    SetThreads,
    Unload,
)


@dataclass(frozen=True, slots=True)
class _Reload:
    """A load that nobody asked for by name: request `asked_by` needs its model."""

    id: int
    asked_by: int


class Desk:
    """Belongs to the supervisor's thread. `send` raises FrameTooLong."""

    def __init__(
        self,
        send: Callable[[AnsweredRequest | Cancel], None],
        notify: Callable[[Reply], None],
        cancel_s: float,
    ) -> None:
        self.ledger = Ledger()
        self._send = send
        self._notify = notify
        self._cancel_s = cancel_s
        self._engine_up = False
        self._held: deque[AnsweredRequest] = deque()
        self._model: Load | None = None
        self._threads: SetThreads | None = None  # changed since that model was loaded
        self._loaded = False
        self._reload: _Reload | None = None
        self._own_ids = count(-1, -1)

    @property
    def wants_engine(self) -> bool:
        """A request waits for a process."""
        return bool(self._held)

    @property
    def activity(self) -> EngineState:
        """What a running engine is doing."""
        if self.ledger.holds(Load):
            return EngineState.LOADING
        if self.ledger.holds(Generate):
            return EngineState.GENERATING
        return EngineState.IDLE if self._loaded else EngineState.READY

    # ---- requests ---------------------------------------------------------------------------

    def take(self, request: AnsweredRequest) -> None:
        """Send a request, hold it, or answer it at once."""
        if error := self._objection(request):
            self.fail(request.id, error.report())
        elif (
            not self._engine_up
            and not self._held
            and isinstance(request, SetThreads | SetBudget | Unload)
        ):
            self._remember(request)
            self._notify(Done(id=request.id))
        elif self._engine_up and isinstance(request, Inspect | SetThreads | SetBudget):
            self._remember(request)
            self._forward(request)
        else:
            self._held.append(request)
            self._pump()

    def cancel(self, request_id: int) -> None:
        """End an answer or a load early; anything else is short and runs to its end."""
        if request_id in self.ledger:
            self._cancel_sent(request_id)
        elif self._reload is not None and self._reload.asked_by == request_id:
            self._cancel_sent(self._reload.id)
        for request in [held for held in self._held if held.id == request_id]:
            if isinstance(request, Generate):
                self._held.remove(request)
                stats = GenerationStats(finish_reason=FinishReason.CANCELLED)
                self._notify(EventFrame(id=request_id, event=GenerationFinished(stats=stats)))
                self._notify(Done(id=request_id))
            elif isinstance(request, Load):
                self._held.remove(request)
                self.fail(request_id, LoadStopped().report())

    def cancel_all(self) -> None:
        """End all that the engine works on."""
        for request_id in self.ledger.ids():
            self._cancel_sent(request_id)

    def engine_up(self) -> None:
        """A process is ready for requests."""
        self._engine_up = True
        for request in [held for held in self._held if isinstance(held, Inspect)]:
            self._held.remove(request)
            self._forward(request)
        self._pump()

    def engine_gone(self, report: ErrorReport) -> None:
        """The process is no more: whatever was open failed."""
        if self.ledger.holds(Load):
            self._model = None
        self._engine_up = self._loaded = False
        self._reload = None
        held = [request.id for request in self._held]
        self._held.clear()
        for request_id in (*self.ledger.clear(), *held):
            if request_id >= 0:
                self.fail(request_id, report)

    def fail(self, request_id: int, report: ErrorReport) -> None:
        """Close a request with an error."""
        self._notify(Failed(id=request_id, report=report))

    # ---- replies ----------------------------------------------------------------------------

    def reply(self, reply: EventFrame | ClosingReply) -> None:
        """Pass a reply on. Raises ProtocolBroken for one that may not come now."""
        entry = self.ledger.accept(reply, time.monotonic())
        if isinstance(reply, EventFrame) and isinstance(entry.request, Load):
            self._note_load(entry.request, reply)
        if isinstance(reply, Done) and isinstance(entry.request, SetBudget):
            self._note_budget(entry.request)
        if self._reload is not None and reply.id == self._reload.id:
            self._reload_reply(self._reload, reply, cancelled=entry.cancelled)
        else:
            self._notify(reply)
        if not isinstance(reply, EventFrame):
            self._pump()

    def _note_load(self, request: Load, reply: EventFrame) -> None:
        match reply.event:
            case LoadProgress():  # from here on the model before it is gone
                self._loaded = False
                if self._reload is None:
                    self._model = None
            case ModelLoaded():
                self._loaded = True
                self._model = request.model_copy(update={"deadline_s": None})

    def _note_budget(self, request: SetBudget) -> None:
        """From now on the model would be loaded again with it."""
        if self._model is not None:
            changed = {"memory_budget": request.memory_budget}
            settings = self._model.settings.model_copy(update=changed)
            self._model = self._model.model_copy(update={"settings": settings})

    def _reload_reply(
        self, reload: _Reload, reply: EventFrame | ClosingReply, *, cancelled: bool
    ) -> None:
        match reply:
            case EventFrame():
                if any(held.id == reload.asked_by for held in self._held):
                    self._notify(reply.model_copy(update={"id": reload.asked_by}))
            case Failed():
                self._reload = None
                if not cancelled:
                    self._fail_waiting(reply.report)
            case _:
                self._reload = None

    def _fail_waiting(self, report: ErrorReport) -> None:
        waiting = [
            held for held in self._held if isinstance(held, Generate | CountTokens | MeasureThreads)
        ]
        for request in waiting:
            self._held.remove(request)
            self.fail(request.id, report)

    # ---- inside -----------------------------------------------------------------------------

    def _objection(self, request: AnsweredRequest) -> R1Error | None:
        held = {item.id for item in self._held}
        if request.id < 0 or request.id in self.ledger or request.id in held:
            return WrongUsage(detail=tr("Request number {id} cannot be used now.", id=request.id))
        if isinstance(request, Generate) and (
            self.ledger.holds(Generate) or any(isinstance(item, Generate) for item in self._held)
        ):
            return EngineBusy()
        if (
            isinstance(request, Generate | CountTokens | MeasureThreads)
            and not self._model_expected()
        ):
            return ModelNotLoaded()
        return None

    def _model_expected(self) -> bool:
        coming = self.ledger.holds(Load) or any(isinstance(item, Load) for item in self._held)
        return coming or self._model is not None

    def _remember(self, request: AnsweredRequest) -> None:
        match request:
            case SetThreads():
                self._threads = request
            case SetBudget() if not self._engine_up:
                self._note_budget(request)
            case Load():
                self._threads = None
            case Unload():
                self._model, self._loaded = None, False

    def _pump(self) -> None:
        """Send what is held, in order, as far as it may go."""
        while self._held and self._engine_up and self._reload is None:
            request = self._held[0]
            needs_model = isinstance(request, Generate | CountTokens | MeasureThreads)
            if needs_model and not self._loaded and not self.ledger.holds(Load):
                if self._model is not None:
                    self._load_again(self._model, request.id)
                else:
                    self._held.popleft()
                    self.fail(request.id, ModelNotLoaded().report())
                continue
            self._held.popleft()
            self._remember(request)
            self._forward(request)

    def _load_again(self, model: Load, asked_by: int) -> None:
        settings = model.settings
        if self._threads is not None:
            changed = self._threads.model_dump(include={"threads", "threads_prefill"})
            settings = settings.model_copy(update=changed)
        self._reload = _Reload(next(self._own_ids), asked_by)
        self._forward(model.model_copy(update={"id": self._reload.id, "settings": settings}))

    def _forward(self, request: AnsweredRequest) -> None:
        try:
            self._send(request)
        except FrameTooLong:
            self.fail(request.id, WrongUsage(detail=tr("The message is too long.")).report())
        else:
            self.ledger.open(request, time.monotonic())

    def _cancel_sent(self, request_id: int) -> None:
        self.ledger.cancel(request_id, time.monotonic() + self._cancel_s)
        self._send(Cancel(id=request_id))

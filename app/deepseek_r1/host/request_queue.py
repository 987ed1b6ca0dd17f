"""Decides what becomes of each request: sent, queued until a model is there, or refused.

The queue is pure: every method returns the frames to write to the process and the replies to hand
to the owner; the supervisor carries both out. A load of other files than the process may open needs
a fresh one, which replaces the present one once the files were checked. A question after a crash
loads the model again.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

from deepseek_r1.core import frames
from deepseek_r1.core.errors import (
    EngineBusy,
    EngineFailed,
    ErrorReport,
    LoadStopped,
    ModelNotLoaded,
    R1Error,
    WrongUsage,
)
from deepseek_r1.core.events import FinishReason, GenerationFinished, GenerationStats
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.process_model import ProcessModel
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    CancelRequest,
    ClosingReply,
    CountTokensRequest,
    DoneReply,
    EndThinkingRequest,
    EngineState,
    ErrorReply,
    EventReply,
    GenerateRequest,
    LoadRequest,
    ModelRequest,
    PrepareRequest,
    RetainPromptsRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    UnloadRequest,
)
from deepseek_r1.memory.load_plan import LoadPlan

IMMEDIATE = SetThreadsRequest | SetBudgetRequest  # served while a model computes


@dataclass(slots=True)
class QueueOutput:
    """`frames` for the engine's process and `replies` for the owner, each in order.

    `check` is a load that waits for `on_load_checked`. `replace`: the engine's process has nothing
    left to do and is to be replaced.
    """

    frames: list[bytes] = field(default_factory=list)
    replies: list[EventReply | ClosingReply] = field(default_factory=list)
    check: LoadRequest | None = None
    replace: bool = False

    def fail(self, request_id: int, error: R1Error | ErrorReport) -> None:
        report = error.report() if isinstance(error, R1Error) else error
        self.replies.append(ErrorReply(id=request_id, report=report))


@dataclass(frozen=True, slots=True)
class _Reload:
    """A load that the queue sends by itself because request `for_request` needs the model."""

    id: int
    for_request: int


class RequestQueue:
    """Is used by the supervisor's thread alone. Times are monotonic seconds."""

    def __init__(self, cancel_s: float) -> None:
        self.in_flight = InFlightRequests()
        self._cancel_s = cancel_s
        self._engine_ready = False
        self._queued: deque[AnsweredRequest] = deque()
        self._prepare: PrepareRequest | None = None  # waits until nothing else is computed
        self._model = ProcessModel()
        self._checking: int | None = None  # the queued load whose files are being checked
        self._checked: int | None = None  # the queued load whose files were accepted
        self._reload: _Reload | None = None
        self._reload_ids = count(-1, -1)

    @property
    def needs_engine(self) -> bool:
        return bool(self._queued)

    @property
    def activity(self) -> EngineState:
        """The state of a running engine. A load that waits for an answer is no load yet."""
        if self.in_flight.load_is_first:
            return EngineState.LOADING
        if self.in_flight.ids_of_kind(GenerateRequest):
            return EngineState.GENERATING
        if self._queued and isinstance(self._queued[0], LoadRequest):
            return EngineState.LOADING
        return EngineState.IDLE if self._model.loaded else EngineState.READY

    # ---- requests ---------------------------------------------------------------------------

    def submit(self, request: AnsweredRequest, now: float) -> QueueOutput:
        """Send a request, queue it, or close it at once."""
        output = QueueOutput()
        if error := self._validate(request):
            output.fail(request.id, error)
        elif (
            not self._engine_ready
            and not self._queued
            and isinstance(request, IMMEDIATE | UnloadRequest)
        ):
            self._model.on_sent(request)
            self._model.on_done(request)
            output.replies.append(DoneReply(id=request.id))
        elif self._engine_ready and isinstance(request, IMMEDIATE):
            self._model.on_sent(request)
            self._send(request, now, output)
        else:
            if isinstance(request, PrepareRequest):
                self._end_preparing(output)
                self._prepare = request
            else:
                self._queued.append(request)
            self._dispatch(now, output)
        return output

    def cancel(self, request_id: int, now: float) -> QueueOutput:
        """End a request early. One that only reads the vocabulary runs to its end."""
        output = QueueOutput()
        if request_id in self.in_flight.ids_of_kind(PrepareRequest) or (
            self._prepare is not None and self._prepare.id == request_id
        ):
            self._end_preparing(output)
        elif request_id in self.in_flight:
            self._cancel_sent(request_id, now, output)
        elif self._reload is not None and self._reload.for_request == request_id:
            self._cancel_sent(self._reload.id, now, output)
        for request in [queued for queued in self._queued if queued.id == request_id]:
            if isinstance(request, GenerateRequest):
                self._queued.remove(request)
                stats = GenerationStats(finish_reason=FinishReason.CANCELLED)
                finished = GenerationFinished(stats=stats)
                output.replies.append(EventReply(id=request_id, event=finished))
                output.replies.append(DoneReply(id=request_id))
            elif isinstance(request, LoadRequest):
                self._queued.remove(request)
                output.fail(request_id, LoadStopped())
            elif isinstance(request, ModelRequest):
                self._queued.remove(request)
                output.fail(request_id, EngineFailed(detail=tr("it was stopped")))
        self._dispatch(now, output)  # what waited behind a load
        return output

    def end_thinking(self, request_id: int) -> QueueOutput:
        """End the thinking of an answer, sent or not."""
        output = QueueOutput()
        if request_id in self.in_flight.ids_of_kind(GenerateRequest):
            end = EndThinkingRequest(id=request_id)
            output.frames.append(frames.pack(end, frames.TO_CHILD_CAP))
        for at, request in enumerate(self._queued):
            if request.id == request_id and isinstance(request, GenerateRequest):
                sampling = request.sampling.model_copy(update={"thinking_budget": 0})
                self._queued[at] = request.model_copy(update={"sampling": sampling})
        return output

    def cancel_all(self, now: float) -> QueueOutput:
        output = QueueOutput()
        for request_id in self.in_flight.ids():
            self._cancel_sent(request_id, now, output)
        return output

    # ---- the engine -------------------------------------------------------------------------

    def on_engine_ready(self, now: float) -> QueueOutput:
        output = QueueOutput()
        self._engine_ready = True
        self._dispatch(now, output)
        return output

    def on_load_checked(
        self, load_id: int, found: LoadPlan | ErrorReport, now: float
    ) -> QueueOutput:
        """Refuse the load of `QueueOutput.check`, or go on with its plan."""
        output = QueueOutput()
        if self._checking != load_id:
            return output
        self._checking = None
        for at, queued in enumerate(tuple(self._queued)):
            if queued.id == load_id and isinstance(found, ErrorReport):
                del self._queued[at]
                output.fail(load_id, found)
            elif queued.id == load_id:
                self._checked = load_id
                self._queued[at] = queued.model_copy(update={"plan": found})
        self._dispatch(now, output)
        return output

    def on_engine_lost(self, report: ErrorReport) -> QueueOutput:
        """Fail every open request: the process has ended or is about to be ended."""
        output = QueueOutput()
        if self.in_flight.load is not None:
            self._model.load = None
        self._model.on_process_gone()
        self._engine_ready = False
        self._checking = self._reload = None
        waiting = [*self._queued, *([self._prepare] if self._prepare is not None else [])]
        self._queued.clear()
        self._prepare = None
        for request_id in (*self.in_flight.clear(), *(each.id for each in waiting)):
            if request_id >= 0:
                output.fail(request_id, report)
        return output

    def on_reply(self, reply: EventReply | ClosingReply, now: float) -> QueueOutput:
        """Hand a reply on. Raises ProtocolBroken for one that may not come now."""
        output = QueueOutput()
        entry = self.in_flight.accept(reply, now)
        if isinstance(reply, EventReply) and isinstance(entry.request, LoadRequest):
            self._model.on_event(entry.request, reply.event, asked_for=self._reload is None)
        elif isinstance(reply, DoneReply):
            self._model.on_done(entry.request)
        if self._reload is not None and reply.id == self._reload.id:
            self._on_reload_reply(self._reload, reply, cancelled=entry.cancelled, output=output)
        else:
            output.replies.append(reply)
        if not isinstance(reply, EventReply):
            self._dispatch(now, output)
        return output

    def _on_reload_reply(
        self,
        reload: _Reload,
        reply: EventReply | ClosingReply,
        *,
        cancelled: bool,
        output: QueueOutput,
    ) -> None:
        """Events of a reload belong to the request that needs the model."""
        if isinstance(reply, EventReply):
            if any(queued.id == reload.for_request for queued in self._queued):
                output.replies.append(reply.model_copy(update={"id": reload.for_request}))
            return
        self._reload = None
        if isinstance(reply, ErrorReply) and not cancelled:
            for request in [each for each in self._queued if isinstance(each, ModelRequest)]:
                self._queued.remove(request)
                output.fail(request.id, reply.report)

    # ---- sending ----------------------------------------------------------------------------

    def _validate(self, request: AnsweredRequest) -> R1Error | None:
        queued_ids = {item.id for item in self._queued}
        if request.id < 0 or request.id in self.in_flight or request.id in queued_ids:
            return WrongUsage(detail=tr("Request number {id} cannot be used now.", id=request.id))
        load = self._expected_load
        most_answers = load.sequences if load is not None else 1
        if isinstance(request, GenerateRequest) and self._open_before(request) >= most_answers:
            return EngineBusy()
        if isinstance(request, ModelRequest | PrepareRequest) and load is None:
            return ModelNotLoaded()
        return None

    def _open_before(self, request: GenerateRequest) -> int:
        """The open answers that this one would have to wait for."""
        queued = [item for item in self._queued if isinstance(item, GenerateRequest)]
        return sum(request.yields or not each.yields for each in (*self.in_flight.answers, *queued))

    @property
    def _expected_load(self) -> LoadRequest | None:
        """The load of the model that requests will meet; None where there will be no model."""
        loads = [item for item in self._queued if isinstance(item, LoadRequest)]
        return loads[-1] if loads else self.in_flight.load or self._model.load

    def _dispatch(self, now: float, output: QueueOutput) -> None:
        """Send what is queued, in order, up to a request that has to wait.

        It waits for a reload, or for a fresh process.
        """
        while self._queued and self._engine_ready and self._reload is None:
            request = self._queued[0]
            loading = self.in_flight.load is not None
            if isinstance(request, LoadRequest) and (loading or not self._model.can_open(request)):
                self._prepare_fresh_process(request, now, output)
                return
            if isinstance(request, ModelRequest) and not self._model.loaded and not loading:
                model = self._model.reload()
                if model is None:
                    self._queued.popleft()
                    output.fail(request.id, ModelNotLoaded())
                elif self._model.can_open(model):
                    self._reload = _Reload(next(self._reload_ids), request.id)
                    self._send(model.model_copy(update={"id": self._reload.id}), now, output)
                else:
                    self._replace_once_idle(output)
                    return
                continue
            self._queued.popleft()
            self._model.on_sent(request)
            if not isinstance(request, RetainPromptsRequest | CountTokensRequest):
                self._end_preparing(output)
            self._cancel_yielding(request, now, output)
            self._send(request, now, output)
        self._dispatch_prepare(now, output)

    def _cancel_yielding(self, request: AnsweredRequest, now: float, output: QueueOutput) -> None:
        answers = isinstance(request, GenerateRequest) and not request.yields
        if answers or isinstance(request, LoadRequest | UnloadRequest):
            for yielding in self.in_flight.yielding:
                self._cancel_sent(yielding, now, output)

    def _prepare_fresh_process(self, load: LoadRequest, now: float, output: QueueOutput) -> None:
        """Have the files of a queued load checked, then the process replaced.

        Without a model there is nothing to lose, so that the fresh process may refuse them.
        """
        self._end_preparing(output)
        if self._checked == load.id or not self._model.loaded:
            self._cancel_yielding(load, now, output)
            self._replace_once_idle(output)
        elif self._checking != load.id:
            self._checking = load.id
            output.check = load

    def _replace_once_idle(self, output: QueueOutput) -> None:
        """Give the process up as soon as it has answered everything that was sent to it."""
        if not self.in_flight:
            self._engine_ready = False
            self._model.on_process_gone()
            output.replace = True

    def _dispatch_prepare(self, now: float, output: QueueOutput) -> None:
        request = self._prepare
        idle = not self._queued and self._reload is None and not self.in_flight.compute
        if request is None or not self._engine_ready or not idle:
            return
        self._prepare = None
        if self._model.loaded:
            self._send(request, now, output)
        else:  # a preparation is no reason to load the model again
            output.replies.append(DoneReply(id=request.id))

    def _end_preparing(self, output: QueueOutput) -> None:
        """Cancel the preparation, sent or not, in favour of another request."""
        waiting, self._prepare = self._prepare, None
        if waiting is not None:
            output.replies.append(DoneReply(id=waiting.id))
        for request_id in self.in_flight.ids_of_kind(PrepareRequest):
            # Without a deadline: a slow disk is no fault of the engine.
            cancel = CancelRequest(id=request_id)
            output.frames.append(frames.pack(cancel, frames.TO_CHILD_CAP))

    def _send(self, request: AnsweredRequest, now: float, output: QueueOutput) -> None:
        try:
            frame = frames.pack(request, frames.TO_CHILD_CAP)
        except frames.FrameTooLong:
            output.fail(request.id, WrongUsage(detail=tr("The message is too long.")))
        else:
            output.frames.append(frame)
            self.in_flight.add(request, now)

    def _cancel_sent(self, request_id: int, now: float, output: QueueOutput) -> None:
        self.in_flight.cancel(request_id, now + self._cancel_s)
        cancel = CancelRequest(id=request_id)
        output.frames.append(frames.pack(cancel, frames.TO_CHILD_CAP))

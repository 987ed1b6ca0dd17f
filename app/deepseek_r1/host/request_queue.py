"""Decides what becomes of each request: sent, queued until a model is there, or refused.

The queue is pure: every method returns the frames to write to the process and the replies to hand
to the owner; the supervisor carries both out. A process opens the files of one model, then no
others: a load of other files needs a fresh process, which replaces the present one once the files
were checked. The queue remembers the model that was loaded last, so that a question after a crash
loads it again. A file that crashed the engine during its load is not loaded again without being
asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from deepseek_r1.core import frames
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
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    CancelRequest,
    ClosingReply,
    CountTokensRequest,
    DetokenizeRequest,
    DoneReply,
    EmbedRequest,
    EndThinkingRequest,
    ErrorReply,
    EventReply,
    GenerateRequest,
    LoadRequest,
    MeasureThreadsRequest,
    PrepareRequest,
    RetainPromptsRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    TokenizeRequest,
    UnloadRequest,
)
from deepseek_r1.host.supervisor_events import EngineState

IMMEDIATE = SetThreadsRequest | SetBudgetRequest  # served while a model computes
NEEDS_MODEL = (
    GenerateRequest
    | CountTokensRequest
    | TokenizeRequest
    | DetokenizeRequest
    | EmbedRequest
    | MeasureThreadsRequest
)


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
        """Close a request with an error."""
        report = error.report() if isinstance(error, R1Error) else error
        self.replies.append(ErrorReply(id=request_id, report=report))


@dataclass(frozen=True, slots=True)
class _Reload:
    """A load that the queue sends by itself because request `for_request` needs the model."""

    id: int
    for_request: int


def file_identity(path: str) -> Hashable | None:
    """The file that a path names at present; None where it names none."""
    if not path:
        return None
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


class RequestQueue:
    """Is used by the supervisor's thread alone. Times are monotonic seconds."""

    def __init__(
        self, cancel_s: float, identity: Callable[[str], Hashable | None] = file_identity
    ) -> None:
        """`identity` returns what a path names at present; None for nothing."""
        self.in_flight = InFlightRequests()
        self._cancel_s = cancel_s
        self._engine_ready = False
        self._queued: deque[AnsweredRequest] = deque()
        self._prepare: PrepareRequest | None = None  # waits until nothing else is computed
        self._model: LoadRequest | None = None
        self._threads: SetThreadsRequest | None = None  # changed since that model was loaded
        self._loaded = False
        self._identity = identity
        self._opened: Hashable | None = None  # the files that the process is locked to
        self._checking: int | None = None  # the queued load whose files are being checked
        self._checked: int | None = None  # the queued load whose files were accepted
        self._reload: _Reload | None = None
        self._reload_ids = count(-1, -1)

    @property
    def needs_engine(self) -> bool:
        """True while a request waits for a process."""
        return bool(self._queued)

    @property
    def activity(self) -> EngineState:
        """The state of a running engine. A load that waits for an answer is no load yet."""
        if self.in_flight.contains_kind(LoadRequest):
            return EngineState.LOADING
        if self.in_flight.contains_kind(GenerateRequest):
            return EngineState.GENERATING
        if self._queued_load is not None:
            return EngineState.LOADING
        return EngineState.IDLE if self._loaded else EngineState.READY

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
            self._record(request)
            output.replies.append(DoneReply(id=request.id))
        elif self._engine_ready and isinstance(request, IMMEDIATE):
            self._record(request)
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
        """End an answer, a load or a preparation early; other requests run to their end."""
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
        """Cancel every request that is in flight."""
        output = QueueOutput()
        for request_id in self.in_flight.ids():
            self._cancel_sent(request_id, now, output)
        return output

    # ---- the engine -------------------------------------------------------------------------

    def on_engine_ready(self, now: float) -> QueueOutput:
        """Send what waited for a process."""
        output = QueueOutput()
        self._engine_ready = True
        self._dispatch(now, output)
        return output

    def on_load_checked(self, load_id: int, refused: ErrorReport | None, now: float) -> QueueOutput:
        """Refuse the load of `QueueOutput.check`, or go on with it."""
        output = QueueOutput()
        if self._checking != load_id:
            return output
        self._checking = None
        if refused is None:
            self._checked = load_id
        else:
            for queued in [each for each in self._queued if each.id == load_id]:
                self._queued.remove(queued)
                output.fail(load_id, refused)
        self._dispatch(now, output)
        return output

    def on_engine_lost(self, report: ErrorReport) -> QueueOutput:
        """Fail every open request: the process has ended or is about to be ended."""
        output = QueueOutput()
        if self.in_flight.contains_kind(LoadRequest):
            self._model = None
        self._engine_ready = self._loaded = False
        self._opened = self._checking = None
        self._reload = None
        queued = [request.id for request in self._queued]
        if self._prepare is not None:
            queued.append(self._prepare.id)
        self._queued.clear()
        self._prepare = None
        for request_id in (*self.in_flight.clear(), *queued):
            if request_id >= 0:
                output.fail(request_id, report)
        return output

    def on_reply(self, reply: EventReply | ClosingReply, now: float) -> QueueOutput:
        """Hand a reply on. Raises ProtocolBroken for one that may not come now."""
        output = QueueOutput()
        entry = self.in_flight.accept(reply, now)
        if isinstance(reply, EventReply) and isinstance(entry.request, LoadRequest):
            self._record_load(entry.request, reply)
        if isinstance(reply, DoneReply) and isinstance(entry.request, SetBudgetRequest):
            self._record_budget(entry.request)
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
        match reply:
            case EventReply():
                if any(queued.id == reload.for_request for queued in self._queued):
                    event = reply.model_copy(update={"id": reload.for_request})
                    output.replies.append(event)
            case ErrorReply():
                self._reload = None
                if not cancelled:
                    self._fail_waiting(reply.report, output)
            case _:
                self._reload = None

    def _fail_waiting(self, report: ErrorReport, output: QueueOutput) -> None:
        for request in [each for each in self._queued if isinstance(each, NEEDS_MODEL)]:
            self._queued.remove(request)
            output.fail(request.id, report)

    # ---- the loaded model -------------------------------------------------------------------

    def _record(self, request: AnsweredRequest) -> None:
        """Note what a request that goes out changes about the model."""
        match request:
            case SetThreadsRequest():
                self._threads = request
            case SetBudgetRequest() if not self._engine_ready:
                self._record_budget(request)
            case LoadRequest():
                self._threads = None
            case UnloadRequest():
                self._model, self._loaded = None, False

    def _record_load(self, request: LoadRequest, reply: EventReply) -> None:
        match reply.event:
            case LoadProgress():  # the file is accepted, and no other will be opened
                self._opened = self._opened or self._files(request)
                self._loaded = False
                if self._reload is None:
                    self._model = None
            case ModelLoaded(facts=facts):
                if facts.engine.startswith("ctransformers"):
                    # Each load of a Falcon leaves two of ggml's 64 contexts in the process.
                    self._opened = object()  # as other files: the next load gets a fresh one
                self._loaded = True
                self._model = request.model_copy(update={"deadline_s": None})

    def _record_budget(self, request: SetBudgetRequest) -> None:
        """A reload uses the changed budget."""
        if self._model is not None:
            changed = {"memory_budget": request.memory_budget}
            settings = self._model.settings.model_copy(update=changed)
            self._model = self._model.model_copy(update={"settings": settings})

    # ---- sending ----------------------------------------------------------------------------

    def _validate(self, request: AnsweredRequest) -> R1Error | None:
        """The error that refuses the request, or None."""
        queued_ids = {item.id for item in self._queued}
        if request.id < 0 or request.id in self.in_flight or request.id in queued_ids:
            return WrongUsage(detail=tr("Request number {id} cannot be used now.", id=request.id))
        if isinstance(request, GenerateRequest) and self._open_before(request) >= self._sequences:
            return EngineBusy()
        if isinstance(request, NEEDS_MODEL | PrepareRequest) and not self._model_expected():
            return ModelNotLoaded()
        return None

    def _open_before(self, request: GenerateRequest) -> int:
        """The open answers that this one would have to wait for."""
        queued = [item for item in self._queued if isinstance(item, GenerateRequest)]
        return sum(request.yields or not each.yields for each in (*self.in_flight.answers, *queued))

    @property
    def _sequences(self) -> int:
        """The most generate requests that may be open: those of the model they will meet."""
        loads = [item for item in self._queued if isinstance(item, LoadRequest)]
        expected = loads[-1] if loads else self.in_flight.load or self._model
        return expected.sequences if expected is not None else 1

    def _model_expected(self) -> bool:
        loading = self.in_flight.contains_kind(LoadRequest)
        queued = any(isinstance(item, LoadRequest) for item in self._queued)
        return loading or queued or self._model is not None

    @property
    def _queued_load(self) -> LoadRequest | None:
        """The load that waits in front, if one does."""
        first = self._queued[0] if self._queued else None
        return first if isinstance(first, LoadRequest) else None

    def _dispatch(self, now: float, output: QueueOutput) -> None:
        """Send what is queued, in order, up to a request that has to wait.

        It waits for a reload, or for a fresh process.
        """
        while self._queued and self._engine_ready and self._reload is None:
            request = self._queued[0]
            loading = self.in_flight.contains_kind(LoadRequest)
            reload = isinstance(request, NEEDS_MODEL) and not self._loaded and not loading
            if isinstance(request, LoadRequest) and (loading or not self._can_open(request)):
                self._prepare_fresh_process(request, now, output)
                return
            if reload:
                if self._model is not None and not self._can_open(self._model):
                    self._replace_once_idle(output)
                    return
                if self._model is not None:
                    self._send_reload(self._model, request.id, now, output)
                else:
                    self._queued.popleft()
                    output.fail(request.id, ModelNotLoaded())
                continue
            self._queued.popleft()
            self._record(request)
            if not isinstance(request, RetainPromptsRequest | CountTokensRequest):
                self._end_preparing(output)
            self._cancel_yielding(request, now, output)
            self._send(request, now, output)
        self._dispatch_prepare(now, output)

    def _cancel_yielding(self, request: AnsweredRequest, now: float, output: QueueOutput) -> None:
        """Cancel the answers that yield to this request."""
        if _takes_the_engine(request):
            for yielding in self.in_flight.yielding:
                self._cancel_sent(yielding, now, output)

    def _prepare_fresh_process(self, load: LoadRequest, now: float, output: QueueOutput) -> None:
        """Have the files of a queued load checked, then the process replaced.

        Without a model there is nothing to lose, so that the fresh process may refuse them.
        """
        self._end_preparing(output)
        if self._checked == load.id or not self._loaded:
            self._cancel_yielding(load, now, output)
            self._replace_once_idle(output)
        elif self._checking != load.id:
            self._checking = load.id
            output.check = load

    def _replace_once_idle(self, output: QueueOutput) -> None:
        """Give the process up as soon as it has answered everything that was sent to it."""
        if not self.in_flight:
            self._engine_ready = self._loaded = False
            self._opened = None
            output.replace = True

    def _dispatch_prepare(self, now: float, output: QueueOutput) -> None:
        """Send the preparation once nothing else is computed."""
        request = self._prepare
        idle = not self._queued and self._reload is None and not self.in_flight.compute
        if request is None or not self._engine_ready or not idle:
            return
        self._prepare = None
        if self._loaded:
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

    def _send_reload(
        self, model: LoadRequest, for_request: int, now: float, output: QueueOutput
    ) -> None:
        settings = model.settings
        if self._threads is not None:
            changed = self._threads.model_dump(include={"threads", "threads_prefill"})
            settings = settings.model_copy(update=changed)
        self._reload = _Reload(next(self._reload_ids), for_request)
        reload = model.model_copy(update={"id": self._reload.id, "settings": settings})
        self._send(reload, now, output)

    def _send(self, request: AnsweredRequest, now: float, output: QueueOutput) -> None:
        try:
            frame = frames.pack(request, frames.TO_CHILD_CAP)
        except frames.FrameTooLong:
            output.fail(request.id, WrongUsage(detail=tr("The message is too long.")))
        else:
            output.frames.append(frame)
            self.in_flight.add(request, now)

    def _can_open(self, load: LoadRequest) -> bool:
        """Whether the process is locked to no files yet, or to these."""
        there = self._identity(load.path) is not None
        return self._opened is None or (there and self._files(load) == self._opened)

    def _files(self, load: LoadRequest) -> Hashable:
        """The paths of a model, its draft model and the folder for prompts; and the two files.

        A file that has taken the place of another is locked as well.
        """
        files = (load.path, load.settings.draft_path)
        kept = load.prompt_cache
        folder = kept.path if kept is not None and kept.budget_mib else ""
        return (*files, folder), tuple(map(self._identity, files))

    def _cancel_sent(self, request_id: int, now: float, output: QueueOutput) -> None:
        self.in_flight.cancel(request_id, now + self._cancel_s)
        cancel = CancelRequest(id=request_id)
        output.frames.append(frames.pack(cancel, frames.TO_CHILD_CAP))


def _takes_the_engine(request: AnsweredRequest) -> bool:
    """Whether answers that yield are cancelled for this request."""
    if isinstance(request, GenerateRequest):
        return not request.yields
    return isinstance(request, LoadRequest | UnloadRequest | MeasureThreadsRequest)

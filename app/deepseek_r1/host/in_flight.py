"""Tracks the requests that were sent, and checks which reply each may get, in which order.

The engine reads untrusted files in native code, so its replies are not trusted either.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeVar

from deepseek_r1.core.errors import EngineFailed, ProtocolBroken, WrongUsage
from deepseek_r1.core.events import (
    BudgetChanged,
    GenerationFinished,
    LoadProgress,
    ModelLoaded,
    PrefillProgress,
    PromptCacheState,
)
from deepseek_r1.core.frames import FrameTooLong
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    CancelRequest,
    ClosingReply,
    CountTokensReply,
    CountTokensRequest,
    DetokenizeRequest,
    DoneReply,
    EmbeddingReply,
    EmbedRequest,
    ErrorReply,
    EventReply,
    GenerateRequest,
    Heartbeat,
    LoadRequest,
    PrepareRequest,
    RetainPromptsRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    SimilaritiesRequest,
    TextReply,
    TokenizeRequest,
    TokensReply,
)

# The requests that an event may belong to; the others belong to an answer.
_REQUESTS_OF_EVENT: dict[type, tuple[type, ...]] = {
    LoadProgress: (LoadRequest,),
    ModelLoaded: (LoadRequest,),
    BudgetChanged: (SetBudgetRequest,),
    PrefillProgress: (GenerateRequest, PrepareRequest),
    PromptCacheState: (LoadRequest, PrepareRequest, RetainPromptsRequest),
}
# The requests that are closed by a result of their own.
_RESULT_OF_REQUEST: dict[type, type] = {
    CountTokensRequest: CountTokensReply,
    TokenizeRequest: TokensReply,
    DetokenizeRequest: TextReply,
    EmbedRequest: EmbeddingReply,
    SimilaritiesRequest: EmbeddingReply,
}


@dataclass(slots=True)
class InFlightRequest:
    """One request that was sent and not yet closed. Times are monotonic seconds."""

    request: AnsweredRequest
    sent_at: float
    deadline: float | None = None  # of a cancelled one
    cancelled: bool = False
    complete: bool = False  # its last event arrived; only the closing reply is missing


class InFlightRequests:
    """The requests that were sent and not yet closed."""

    def __init__(self) -> None:
        self._entries: dict[int, InFlightRequest] = {}
        self._moved_at = 0.0

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._entries

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, request: AnsweredRequest, now: float) -> None:
        self._entries[request.id] = InFlightRequest(request, now)
        self._moved_at = now

    def cancel(self, request_id: int, deadline: float) -> None:
        """Record that the request was cancelled. An answer or a load must end by `deadline`."""
        entry = self._entries[request_id]
        entry.cancelled = True
        if isinstance(entry.request, GenerateRequest | LoadRequest):  # others wait for answers
            entry.deadline = min(deadline, entry.deadline or deadline)

    @property
    def load(self) -> LoadRequest | None:
        requests = (entry.request for entry in self._entries.values())
        return next((each for each in requests if isinstance(each, LoadRequest)), None)

    @property
    def load_is_first(self) -> bool:
        """Whether a load is open, and was sent before all open answers."""
        requests = (entry.request for entry in self._entries.values())
        kinds = (LoadRequest, GenerateRequest)
        return isinstance(next((r for r in requests if isinstance(r, kinds)), None), LoadRequest)

    def ids(self) -> tuple[int, ...]:
        return tuple(self._entries)

    def ids_of_kind(self, kind: type[AnsweredRequest]) -> tuple[int, ...]:
        return tuple(key for key, each in self._entries.items() if isinstance(each.request, kind))

    @property
    def answers(self) -> tuple[GenerateRequest, ...]:
        """The answers whose last event has not come; their closing replies may be missing too."""
        return tuple(
            entry.request
            for entry in self._entries.values()
            if isinstance(entry.request, GenerateRequest) and not entry.complete
        )

    @property
    def yielding(self) -> tuple[int, ...]:
        """The ids of the answers that yield and were not cancelled."""
        return tuple(
            each.id for each in self.answers if each.yields and not self._entries[each.id].cancelled
        )

    @property
    def compute(self) -> bool:
        """True while a request is open that the engine computes for."""
        quick = (SetThreadsRequest, SetBudgetRequest, RetainPromptsRequest)
        return any(not isinstance(entry.request, quick) for entry in self._entries.values())

    def clear(self) -> tuple[int, ...]:
        ids = self.ids()
        self._entries.clear()
        return ids

    @property
    def next_deadline(self) -> float | None:
        return min((e.deadline for e in self._entries.values() if e.deadline), default=None)

    def overdue(self, now: float) -> InFlightRequest | None:
        late = (e for e in self._entries.values() if e.deadline is not None and now >= e.deadline)
        return next(late, None)

    @property
    def moved_at(self) -> float | None:
        """The time of the last reply or the last sending; None where no request is open."""
        return self._moved_at if self._entries else None

    def accept(self, reply: EventReply | ClosingReply, now: float) -> InFlightRequest:
        """Check that the reply is allowed now, and record it. Returns the request's entry.

        Raises ProtocolBroken for a reply to no open request, of the wrong kind or out of order.
        """
        entry = self._entries.get(reply.id)
        if entry is None:
            raise ProtocolBroken(
                detail=tr("It answered request {id}, which is not open.", id=reply.id)
            )
        if not _is_allowed(entry, reply):
            raise ProtocolBroken(
                detail=tr(
                    "“{reply}” is no answer to “{request}” at this point.",
                    reply=reply.event.kind if isinstance(reply, EventReply) else reply.kind,
                    request=entry.request.kind,
                )
            )
        self._moved_at = now
        if not isinstance(reply, EventReply):
            del self._entries[reply.id]
        elif isinstance(reply.event, ModelLoaded | GenerationFinished):
            entry.complete = True
        return entry


def _is_allowed(entry: InFlightRequest, reply: EventReply | ClosingReply) -> bool:
    request = entry.request
    match reply:
        case ErrorReply():
            return True
        case DoneReply():
            eventful = isinstance(request, LoadRequest | GenerateRequest)
            return entry.complete if eventful else type(request) not in _RESULT_OF_REQUEST
        case EventReply(event=event):
            expected = _REQUESTS_OF_EVENT.get(type(event), (GenerateRequest,))
            return isinstance(request, expected) and not entry.complete
        case _:
            return _RESULT_OF_REQUEST.get(type(request)) is type(reply)


class ReplyReceiver(Protocol):
    """Takes the replies to one request."""

    def put(self, reply: EventReply | ClosingReply | None) -> None:
        """Hand over a reply; None where the engine was closed. The thread that reads replies."""
        ...


ReceiverT = TypeVar("ReceiverT", bound=ReplyReceiver)


class OpenRequests:
    """Numbers requests, and hands each reply to the receiver of its request. Any thread."""

    def __init__(self, send: Callable[[AnsweredRequest | CancelRequest], None]) -> None:
        """`send` hands a request to the engine, from any thread."""
        self._send = send
        self._ids = count(1)
        self._lock = threading.Lock()
        self._receivers: dict[int, ReplyReceiver] = {}
        self._closed = False
        self.heartbeat: Heartbeat | None = None  # the engine's last one

    def submit(
        self,
        make: Callable[[int, Callable[[], None]], ReceiverT],
        kind: type[AnsweredRequest],
        **fields: Any,
    ) -> ReceiverT:
        """Send a request whose replies go to `make(id, cancel)`, which is returned.

        Raises EngineFailed after `close`, WrongUsage for one that does not fit into a frame, and
        whatever else `send` raises: that request is not open.
        """
        request = kind(id=next(self._ids), **fields)
        cancel = CancelRequest(id=request.id)
        receiver = make(request.id, lambda: self._send(cancel))
        with self._lock:
            if self._closed:
                raise EngineFailed(detail=tr("the engine was closed"))
            self._receivers[request.id] = receiver
        try:
            self._send(request)
        except BaseException as error:
            with self._lock:
                self._receivers.pop(request.id, None)
            if isinstance(error, FrameTooLong):
                raise WrongUsage(detail=tr("The message is too long.")) from None
            raise
        return receiver

    def hand_over(self, reply: EventReply | ClosingReply | Heartbeat) -> None:
        """Hand a reply to its receiver; a closing one ends its request."""
        if isinstance(reply, Heartbeat):
            self.heartbeat = reply
            return
        with self._lock:
            receiver = (
                self._receivers.get(reply.id)
                if isinstance(reply, EventReply)
                else self._receivers.pop(reply.id, None)
            )
        if receiver is not None:
            receiver.put(reply)

    def close(self) -> None:
        """Tell all receivers that no reply will come; no request is taken any more."""
        with self._lock:
            self._closed = True
            receivers = list(self._receivers.values())
            self._receivers.clear()
        for receiver in receivers:
            receiver.put(None)

"""Which requests are open, and which replies each of them may get, in which order.

The engine reads hostile files in native code: what it says is checked like anybody else's word.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.core.events import (
    BudgetChanged,
    GenerationFinished,
    LoadProgress,
    ModelLoaded,
    ThreadsMeasured,
)
from deepseek_r1.core.words import tr
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    ClosingReply,
    Counted,
    CountTokens,
    Done,
    EventFrame,
    Failed,
    Generate,
    Inspect,
    Inspected,
    Load,
    MeasureThreads,
    SetBudget,
)


@dataclass(slots=True)
class Entry:
    """One open request. Times are monotonic seconds."""

    request: AnsweredRequest
    sent_at: float
    deadline: float | None = None
    cancelled: bool = False
    complete: bool = False  # its last event came; only the closing reply is missing


class Ledger:
    """The requests that were sent and not yet closed."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._moved_at = 0.0

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._entries

    def __bool__(self) -> bool:
        return bool(self._entries)

    def open(self, request: AnsweredRequest, now: float) -> None:
        """Note a request as sent."""
        seconds = request.deadline_s if isinstance(request, Inspect | Load) else None
        deadline = None if seconds is None else now + seconds
        self._entries[request.id] = Entry(request, now, deadline)
        self._moved_at = now

    def cancel(self, request_id: int, deadline: float) -> None:
        """Note that the request shall end, by `deadline` at the latest."""
        entry = self._entries[request_id]
        entry.cancelled = True
        entry.deadline = min(deadline, entry.deadline or deadline)

    def holds(self, kind: type[AnsweredRequest]) -> bool:
        """Is a request of this kind open?"""
        return any(isinstance(entry.request, kind) for entry in self._entries.values())

    def ids(self) -> tuple[int, ...]:
        """The open requests."""
        return tuple(self._entries)

    def clear(self) -> tuple[int, ...]:
        """Close all without a reply; returns their ids."""
        ids = self.ids()
        self._entries.clear()
        return ids

    @property
    def next_deadline(self) -> float | None:
        """The earliest deadline of an open request."""
        return min((e.deadline for e in self._entries.values() if e.deadline), default=None)

    def overdue(self, now: float) -> Entry | None:
        """A request whose deadline has passed."""
        late = (e for e in self._entries.values() if e.deadline is not None and now >= e.deadline)
        return next(late, None)

    @property
    def moved_at(self) -> float | None:
        """When the open requests last got a reply or were sent; None where none is open."""
        return self._moved_at if self._entries else None

    def accept(self, reply: EventFrame | ClosingReply, now: float) -> Entry:
        """Check that the reply may come now, and note it. Returns the request's entry.

        Raises ProtocolBroken for a reply that nobody asked for, of the wrong kind or out of turn.
        """
        entry = self._entries.get(reply.id)
        if entry is None:
            raise ProtocolBroken(
                detail=tr("It answered request {id}, which is not open.", id=reply.id)
            )
        if not _fits(entry, reply):
            raise ProtocolBroken(
                detail=tr(
                    "“{reply}” is no answer to “{request}” at this point.",
                    reply=reply.event.kind if isinstance(reply, EventFrame) else reply.kind,
                    request=entry.request.kind,
                )
            )
        self._moved_at = now
        if not isinstance(reply, EventFrame):
            del self._entries[reply.id]
        elif isinstance(reply.event, ModelLoaded | GenerationFinished):
            entry.complete = True
        return entry


def _fits(entry: Entry, reply: EventFrame | ClosingReply) -> bool:
    request = entry.request
    match reply:
        case Failed():
            return True
        case Inspected():
            return isinstance(request, Inspect)
        case Counted():
            return isinstance(request, CountTokens)
        case Done():
            eventful = isinstance(request, Load | Generate)
            return entry.complete if eventful else not isinstance(request, Inspect | CountTokens)
        case EventFrame(event=LoadProgress() | ModelLoaded()):
            return isinstance(request, Load) and not entry.complete
        case EventFrame(event=event):
            asked: type[AnsweredRequest] = Generate
            if isinstance(event, BudgetChanged | ThreadsMeasured):
                asked = SetBudget if isinstance(event, BudgetChanged) else MeasureThreads
            return isinstance(request, asked) and not entry.complete

"""A second process without a model, for files that the model's process cannot open any more.

It is started by the first request and ended once none is open: at once where a load waits for its
memory or its folder, after a few seconds where more inspections may follow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from deepseek_r1.host.protocol import AnsweredRequest, ClosingReply, EventReply, InspectRequest
from deepseek_r1.host.supervisor_events import HostEvent

LINGER_S = 5.0
STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class InspectionReply:
    """A reply of the inspection process."""

    reply: EventReply | ClosingReply


class ProcessOwner(Protocol):
    """The part of `Supervisor` that is needed here."""

    def post(self, request: AnsweredRequest) -> None:
        """Hand a request over."""
        ...

    def request_stop(self) -> None:
        """End the process and then `run()`."""
        ...

    def run(self) -> None:
        """Serve until `request_stop()`."""
        ...


class InspectionProcess:
    """Is used by the supervisor's thread alone. Times are monotonic seconds."""

    def __init__(
        self,
        make_owner: Callable[[Callable[[HostEvent], None]], ProcessOwner],
        deliver: Callable[[InspectionReply], None],
    ) -> None:
        """`make_owner` makes a supervisor that notifies the given function, in its own thread;
        `deliver` gets the replies there."""
        self._make_owner, self._deliver = make_owner, deliver
        self._owner: ProcessOwner | None = None
        self._thread: threading.Thread | None = None
        self._open: dict[int, AnsweredRequest] = {}
        self._linger_until = 0.0

    def post(self, request: AnsweredRequest) -> None:
        """Send a request; starts the process."""
        if self._owner is None:
            self._owner = self._make_owner(self._on_event)
            self._thread = threading.Thread(
                target=self._owner.run, name="inspection-supervisor", daemon=True
            )
            self._thread.start()
        self._open[request.id] = request
        self._owner.post(request)

    def on_reply(self, reply: EventReply | ClosingReply, now: float) -> None:
        """Note that a reply arrived."""
        if isinstance(reply, EventReply):
            return
        request = self._open.pop(reply.id, None)
        lingers = isinstance(request, InspectRequest)
        self._linger_until = max(self._linger_until, now + LINGER_S) if lingers else now
        self.check(now)

    @property
    def next_check_at(self) -> float | None:
        """When `check` has something to do; None while a request is open or no process runs."""
        return None if self._owner is None or self._open else self._linger_until

    def check(self, now: float) -> None:
        """End the process where nothing is open and nothing is expected."""
        due = self.next_check_at
        if due is not None and now >= due:
            self._stop()

    def close(self) -> None:
        """End the process and wait for it."""
        thread = self._thread
        self._stop()
        if thread is not None:
            thread.join(STOP_S)

    def _stop(self) -> None:
        if self._owner is not None:
            self._owner.request_stop()
        self._owner = self._thread = None
        self._open.clear()

    def _on_event(self, event: HostEvent) -> None:
        if isinstance(event, EventReply | ClosingReply):
            self._deliver(InspectionReply(event))

"""The requests that wait for replies, by their ids: one table for each owner of an engine."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol, TypeVar

from deepseek_r1.core.errors import EngineFailed, WrongUsage
from deepseek_r1.core.frames import FrameTooLong
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    CancelRequest,
    ClosingReply,
    EventReply,
    Heartbeat,
)


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

"""The engine of the application that started this process, over the pipes to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from pydantic import BaseModel

from deepseek_r1.core import frames
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.host.open_requests import OpenRequests, ReceiverT
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    ClosingReply,
    EventReply,
    Heartbeat,
)
from deepseek_r1.host.sharing_protocol import ToServer, to_server_adapter
from deepseek_r1.host.supervisor_events import EngineState


class SharedEngine:
    """Sends requests to the application and hands its replies to those who wait for them."""

    state = EngineState.IDLE
    """Always: a failed engine has no model, and the application reports that."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        """`source` and `sink` are the raw pipes from and to the application."""
        self._source, self._sink = source, sink
        self._sending = threading.Lock()
        self._requests = OpenRequests(self.send)
        self.heartbeat: Heartbeat | None = None

    def submit_as(
        self,
        make: Callable[[int, Callable[[], None]], ReceiverT],
        kind: type[AnsweredRequest],
        **fields: Any,
    ) -> ReceiverT:
        """Send a request whose replies go to `make(id, cancel)`. Any thread.

        Raises WrongUsage for one that does not fit into a frame.
        """
        try:
            return self._requests.submit(make, kind, **fields)
        except frames.FrameTooLong:
            raise WrongUsage(detail=tr("The message is too long.")) from None

    def send(self, message: BaseModel) -> None:
        """Write a message to the application. Any thread."""
        frame = frames.pack(message, frames.FROM_CHILD_CAP)
        with self._sending:
            frames.write(self._sink, frame)

    def receive(self) -> ToServer | None:
        """Read the application's next message; None where it has ended.

        Raises ProtocolBroken, StreamCutOff, OSError.
        """
        body = frames.read(self._source, frames.TO_CHILD_CAP)
        return None if body is None else frames.parse(body, to_server_adapter)

    def hand_over(self, reply: EventReply | ClosingReply | Heartbeat) -> None:
        """Hand a reply to its receiver. The thread that reads."""
        if isinstance(reply, Heartbeat):
            self.heartbeat = reply
        else:
            self._requests.hand_over(reply)

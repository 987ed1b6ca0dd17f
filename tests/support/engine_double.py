"""The window's bridge to the engine, with the test at its other end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
)
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.host import protocol
from deepseek_r1.host.protocol import EngineState, HostEvent, StateChanged
from deepseek_r1.memory.forecast import Estimate
from r1desk.engine.engine_bridge import EngineBridge, EngineThread
from r1desk.platform.tasks import Later


class Bills:
    """Notes which bills are asked for, and leaves them to the test."""

    def __init__(self) -> None:
        self.asked: list[LoadSettings] = []
        self.requests: list[Later[Estimate]] = []

    def ask(
        self, _path: Path, settings: LoadSettings, _window_mib: float, **_: object
    ) -> Later[Estimate]:
        """As `BillReader.ask`."""
        self.asked.append(settings)
        self.requests.append(Later())
        return self.requests[-1]

    def with_disk_speed(self, bill: Bill) -> Bill:
        """As `BillReader.with_disk_speed`, with none."""
        return bill


class EngineDouble:
    """The real bridge, at whose other end is the test."""

    def __init__(self) -> None:
        self.bridge = EngineBridge()
        self._thread = self.bridge.findChild(EngineThread)
        self.bills = self.bridge.bills = Bills()
        self.received: list[Any] = []
        self._thread.supervisor.post = self.received.append
        self.reply(StateChanged(EngineState.IDLE, ""))

    def of_kind(self, kind: type[Any]) -> list[Any]:
        """The requests of a kind, in their order."""
        return [request for request in self.received if isinstance(request, kind)]

    @property
    def asked(self) -> protocol.GenerateRequest:
        """The answer that was asked for last."""
        return self.of_kind(protocol.GenerateRequest)[-1]

    def reply(self, event: HostEvent) -> None:
        """Let the window hear this at once."""
        self._thread.on_event(event)
        self.bridge._on_text_due()

    def event(self, event: Event) -> None:
        """An event of the answer that was asked for last."""
        self.reply(protocol.EventReply(id=self.asked.id, event=event))

    def say(self, text: str) -> None:
        """The next piece of the answer."""
        self.event(AnswerDelta(text=text))

    def think(self, text: str) -> None:
        """The next piece of the thinking."""
        self.event(ThinkingDelta(text=text, elapsed_s=2.0))

    def finish(self, reason: FinishReason = FinishReason.STOP, **stats: Any) -> None:
        """End the answer."""
        request = self.asked
        self.event(GenerationFinished(stats=GenerationStats(finish_reason=reason, **stats)))
        self.reply(protocol.DoneReply(id=request.id))

    def fail(self, error: R1Error) -> None:
        """End the answer with an error."""
        self.reply(protocol.ErrorReply(id=self.asked.id, report=error.report()))

    def count(self, tokens: Callable[[protocol.CountTokensRequest], int]) -> None:
        """Answer the request to count that came last."""
        request = self.of_kind(protocol.CountTokensRequest)[-1]
        self.reply(protocol.CountTokensReply(id=request.id, tokens=tokens(request)))

"""Counts tokens with the loaded model, without waiting and without loading one."""

from __future__ import annotations

from collections.abc import Callable, Generator

from deepseek_r1.core.messages import Message
from deepseek_r1.host.protocol import CountTokensRequest
from deepseek_r1.host.supervisor_events import EngineState
from r1desk.engine.engine_bridge import EngineBridge, log_refusal

Counting = Generator[tuple[Message, ...], int, None]
"""Yields conversations and receives their lengths in tokens."""


class TokenCounter:
    """Asks the engine to tokenise; the model computes nothing. Main thread."""

    def __init__(self, engine: EngineBridge, is_model_ready: Callable[[], bool]) -> None:
        self.engine, self._is_model_ready = engine, is_model_ready

    @property
    def available(self) -> bool:
        """True while a model is loaded and writes no answer."""
        return self._is_model_ready() and self.engine.state is EngineState.IDLE

    def run(self, counting: Counting) -> None:
        """Count what `counting` yields, one conversation after the other.

        It is closed early where no model can count any more.
        """
        self._advance(counting, None)

    def _advance(self, counting: Counting, tokens: int | None) -> None:
        try:
            messages = next(counting) if tokens is None else counting.send(tokens)
        except StopIteration:
            return
        if not self.available:
            counting.close()
            return
        request = self.engine.submit(CountTokensRequest, messages=messages)
        request.done.connect(lambda reply: self._advance(counting, reply.tokens))
        request.failed.connect(log_refusal)
        request.failed.connect(lambda _report: counting.close())

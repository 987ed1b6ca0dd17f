"""Questions to the loaded model about texts: how long they are, how alike, how fast it reads."""

import math
import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import EngineFailed, R1Error
from deepseek_r1.core.events import Event, GenerationFinished, GenerationStats
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.passages import estimated_tokens
from deepseek_r1.host.protocol import CountTokensRequest, EngineState, SimilaritiesRequest
from r1desk.chat.answers.controller import ChatController
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import AnsweringModel
from r1desk.platform.tasks import Tasks

_COUNT_S = 20.0  # for a thread; the engine may be busy
_ENDING_S, _LOOK_S, _AGAIN_S = 2.0, 0.05, 20.0
_CAUTION = 1.2  # an estimate that is too low makes a message that the context does not hold
LEAST_TOKENS = 8  # of an answer or a prompt that says something about the speed


class NotCounted(Exception):
    """No model can count now."""


class TokenCounter(QObject):
    """Main thread, where nothing else is said."""

    comparing = Signal(bool)  # passages are compared with a question, or not any more

    def __init__(self, engine: EngineBridge, models: AnsweringModel) -> None:
        super().__init__()
        self.engine, self._models = engine, models
        self._tasks = Tasks(self)
        self._busy_since = -math.inf  # of the clock; long ago where the last count succeeded

    @property
    def available(self) -> bool:
        """True while a model is loaded and writes no answer."""
        return self._models.ready and self.engine.state is EngineState.IDLE

    async def count(self, messages: Sequence[Message]) -> int:
        """The tokens of a conversation. Raises NotCounted."""
        if not self.available:
            raise NotCounted
        try:
            reply = await self.engine.submit(CountTokensRequest, messages=messages)
        except R1Error as refused:
            raise NotCounted from refused
        tokens: int = reply.tokens
        return tokens

    def close(self) -> None:
        self._tasks.close()

    def count_tokens(self, text: str) -> int:
        """The tokens of a message, or rather more where no model is free. Any other thread.

        What was stopped for a question takes a moment to end: an engine that has just become busy
        is waited for, once.
        """
        while True:
            counting = self.count((Message(role=Role.USER, content=text),))
            try:
                counted = self._tasks.result_of(counting, _COUNT_S)
            except NotCounted:
                now = time.monotonic()
                if now - self._busy_since > _AGAIN_S:  # it is not known whether it was free since
                    self._busy_since = now
                if not self._models.ready or now - self._busy_since > _ENDING_S:
                    break
                time.sleep(_LOOK_S)
            except (TimeoutError, EngineFailed):
                break
            else:
                self._busy_since = -math.inf
                return counted
        return round(estimated_tokens(text) * _CAUTION)

    def similarities(self, question: str, passages: tuple[str, ...]) -> tuple[float, ...]:
        """The similarity of each passage to a question, by the embedding model. Any other thread.

        Raises R1Error.
        """
        return self._tasks.result_of(self._compare(question, passages))

    def reduce_weights(self, mib: float) -> bool:
        """Let the model's weights have so much less memory; returns whether they do.

        Any other thread. Raises R1Error.
        """
        return self._tasks.result_of(self._models.reduce_weights(mib))

    async def _compare(self, question: str, passages: tuple[str, ...]) -> tuple[float, ...]:
        self.comparing.emit(True)
        try:
            fields = {"question": question, "passages": passages}
            reply = await self.engine.submit(SimilaritiesRequest, **fields)
        finally:
            self.comparing.emit(False)
        return tuple(reply.values)


class MeasuredSpeed(QObject):
    """Rates in tokens a second; 0 where unknown. Main thread."""

    changed = Signal()

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat
        self.prefill_tok_s = self.decode_tok_s = 0.0
        chat.engine.event_received.connect(self._on_event)
        chat.branch_shown.connect(self._on_branch_shown)
        chat.models.loaded.connect(self._on_model_loaded)

    @Slot()
    def _on_model_loaded(self) -> None:
        self.prefill_tok_s = self.decode_tok_s = 0.0
        self._on_branch_shown()
        self.changed.emit()

    @Slot()
    def _on_branch_shown(self) -> None:
        """Take rates that are unknown from the answers shown that this model wrote."""
        if self.decode_tok_s:
            return
        for message in self._chat.shown_branch:
            if message.stats is not None and message.model_name == self._chat.models.name:
                self._observe(message.stats)

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        if isinstance(event, GenerationFinished):
            self._observe(event.stats)
            self.changed.emit()

    def _observe(self, stats: GenerationStats) -> None:
        if stats.completion_tokens >= LEAST_TOKENS and stats.decode_s > 0:
            self.decode_tok_s = stats.decode_tok_s
        if stats.prompt_tokens - stats.cached_tokens >= LEAST_TOKENS and stats.prefill_s > 0:
            self.prefill_tok_s = stats.prefill_tok_s

    def reading_s(self, tokens: int) -> float | None:
        """Seconds to prefill so many tokens; None where the rate is unknown."""
        return tokens / self.prefill_tok_s if self.prefill_tok_s else None

    def writing_s(self, tokens: int) -> float | None:
        """Seconds to decode so many tokens; None where the rate is unknown."""
        return tokens / self.decode_tok_s if self.decode_tok_s else None

"""The loaded model's speed, from the answers it has written."""

from collections.abc import Iterable

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.events import Event, GenerationFinished, GenerationStats
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.store import ChatMessage

LEAST_TOKENS = 8  # of an answer or a prompt that says something about the speed


class MeasuredSpeed(QObject):
    """Rates in tokens a second; 0 where unknown. Main thread."""

    changed = Signal()

    def __init__(self, engine: EngineBridge) -> None:
        super().__init__()
        self.prefill_tok_s = 0.0
        self.decode_tok_s = 0.0
        engine.event_received.connect(self._on_event)

    def reset(self, branch: Iterable[ChatMessage], model_name: str) -> None:
        """Another model is loaded: take its rates from the answers of `branch` that it wrote."""
        self.prefill_tok_s = self.decode_tok_s = 0.0
        self.fill(branch, model_name)
        self.changed.emit()

    def fill(self, branch: Iterable[ChatMessage], model_name: str) -> None:
        """Take rates that are unknown from the answers of `branch` that this model wrote."""
        if self.decode_tok_s:
            return
        for message in branch:
            if message.stats is not None and message.model_name == model_name:
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

"""An answer that ended early and can go on from where it ended."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.messages import PartialAnswer
from r1desk.chat.values.message import ChatMessage

_CUT = {
    FinishReason.LENGTH,
    FinishReason.CONTEXT,
    FinishReason.CANCELLED,
    FinishReason.REPETITION,
    FinishReason.ERROR,
}


@dataclass(frozen=True, slots=True)
class StartedAnswer:
    """The text of an answer so far, and what it took."""

    content: str
    thinking: str
    thinking_s: float
    inside_thinking: bool
    stats: GenerationStats | None

    @property
    def partial(self) -> PartialAnswer:
        """The beginning as the engine takes it."""
        return PartialAnswer(
            thinking=self.thinking, text=self.content, inside_thinking=self.inside_thinking
        )


def started_answer(message: ChatMessage) -> StartedAnswer | None:
    """The beginning of an answer that can go on; None where it is complete, empty or changed."""
    if not message.is_answer or message.edited or not (message.content or message.thinking):
        return None
    if message.state not in {"complete", "stopped", "failed"}:
        return None
    inside = ended_inside_thinking(message)
    was_cut = message.state != "complete" or (
        message.stats is not None and message.stats.finish_reason in _CUT
    )
    if not (was_cut or inside):
        return None
    return StartedAnswer(
        message.content, message.thinking, message.thinking_s, inside, message.stats
    )


def ended_inside_thinking(message: ChatMessage) -> bool:
    """Whether an ended answer has a thought that was not closed."""
    if message.stats is not None and message.stats.thinking_end is not None:
        return False
    return bool(message.thinking) and not message.content


def merged_stats(
    before: GenerationStats | None, after: GenerationStats | None
) -> GenerationStats | None:
    """The numbers of an answer and of its continuation as those of one answer."""
    if before is None or after is None:
        return after
    summed = ("completion_tokens", "thinking_tokens", "decode_s", "prefill_s", "thinking_s")
    update: dict[str, object] = {key: getattr(before, key) + getattr(after, key) for key in summed}
    update["prompt_tokens"], update["cached_tokens"] = before.prompt_tokens, before.cached_tokens
    update["ttft_s"] = before.ttft_s
    update["thinking_end"] = after.thinking_end or before.thinking_end
    return after.model_copy(update=update)

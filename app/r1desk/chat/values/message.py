"""Questions about a message: does it fill the context, can it go on, and with which numbers."""

from deepseek_r1.core.errors import PromptTooLong
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.messages import PartialAnswer
from r1desk.store import ChatMessage

_CUT = {
    FinishReason.LENGTH,
    FinishReason.CONTEXT,
    FinishReason.CANCELLED,
    FinishReason.REPETITION,
    FinishReason.ERROR,
}


def fills_context(message: ChatMessage) -> bool:
    """True for an answer that was refused or cut because the context is full."""
    if not message.is_answer:
        return False
    if message.state == "failed":
        return message.error is not None and isinstance(message.error.error, PromptTooLong)
    return message.stats is not None and message.stats.finish_reason is FinishReason.CONTEXT


def discardable(message: ChatMessage) -> bool:
    """True for an ended answer without any text: it is replaced, not kept as a version."""
    ended = message.state in {"failed", "stopped"}
    return message.is_answer and ended and not message.content and not message.thinking


def can_go_on(message: ChatMessage) -> bool:
    """Whether an answer ended early; not one that is complete, empty or changed."""
    if not message.is_answer or message.edited or not (message.content or message.thinking):
        return False
    if message.state != "complete":
        return message.state in {"stopped", "failed"}
    was_cut = message.stats is not None and message.stats.finish_reason in _CUT
    return was_cut or not message.content.strip()  # it thought, and wrote nothing


def ended_inside_thinking(message: ChatMessage) -> bool:
    """Whether an ended answer has a thought that was not closed."""
    if message.stats is not None and message.stats.thinking_end is not None:
        return False
    return bool(message.thinking) and not message.content


def partial_answer(message: ChatMessage) -> PartialAnswer | None:
    """The beginning of an answer as the engine takes it; None while it is empty."""
    if not (message.content or message.thinking):
        return None
    inside = ended_inside_thinking(message)
    return PartialAnswer(thinking=message.thinking, text=message.content, inside_thinking=inside)


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

"""Which answers can go on, and what they took in all."""

from __future__ import annotations

from deepseek_r1.core.events import FinishReason, GenerationStats, ThinkingEnd
from r1desk.chat.values.message import ChatMessage
from r1desk.chat.values.started_answer import merged_stats, started_answer


def stats(reason: FinishReason, **more: object) -> GenerationStats:
    return GenerationStats(finish_reason=reason, **more)


def answer(content: str = "So far", **more: object) -> ChatMessage:
    return ChatMessage(1, "assistant", content, **more)


def test_a_cut_or_stopped_answer_goes_on_and_a_finished_one_does_not() -> None:
    assert started_answer(answer(stats=stats(FinishReason.LENGTH)))
    assert started_answer(answer(stats=stats(FinishReason.REPETITION)))
    assert started_answer(answer(state="stopped"))  # the window was killed: no numbers
    assert started_answer(answer(state="failed"))
    assert started_answer(answer(stats=stats(FinishReason.STOP))) is None
    assert started_answer(answer()) is None  # of an archive
    assert started_answer(answer("", state="stopped")) is None
    assert started_answer(answer(state="streaming")) is None
    assert started_answer(answer(state="stopped", edited=True)) is None
    assert started_answer(ChatMessage(1, "user", "Hello", state="stopped")) is None


def test_a_thought_without_an_answer_goes_on_whatever_ended_it() -> None:
    started = started_answer(answer("", thinking="Hm", stats=stats(FinishReason.STOP)))
    assert started is not None
    assert started.inside_thinking
    closed = stats(FinishReason.CANCELLED, thinking_end=ThinkingEnd.REQUEST)
    started = started_answer(answer("", thinking="Hm", state="stopped", stats=closed))
    assert started is not None
    assert not started.inside_thinking


def test_the_numbers_of_a_continuation_are_added() -> None:
    before = stats(FinishReason.LENGTH, completion_tokens=40, decode_s=4.0, prompt_tokens=10)
    after = stats(FinishReason.STOP, completion_tokens=20, decode_s=1.0, prompt_tokens=50)
    both = merged_stats(before, after)
    assert both is not None
    assert (both.completion_tokens, both.decode_s, both.prompt_tokens) == (60, 5.0, 10)
    assert both.finish_reason is FinishReason.STOP

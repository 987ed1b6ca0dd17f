"""Which answers can go on, and what they took in all."""

import pytest

from deepseek_r1.core.events import FinishReason, GenerationStats, ThinkingEnd
from deepseek_r1.core.messages import PartialAnswer
from r1desk.chat.values.prompt import can_go_on, merged_stats, partial_answer
from r1desk.store import ChatMessage


def stats(reason: FinishReason, **more: object) -> GenerationStats:
    return GenerationStats(finish_reason=reason, **more)


def answer(content: str = "So far", **more: object) -> ChatMessage:
    return ChatMessage(1, "assistant", content, **more)


@pytest.mark.parametrize(
    ("message", "goes_on"),
    [
        (answer(stats=stats(FinishReason.LENGTH)), True),
        (answer(stats=stats(FinishReason.REPETITION)), True),
        (answer(state="stopped"), True),  # the window was killed: no numbers
        (answer(state="failed"), True),
        (answer(stats=stats(FinishReason.STOP)), False),
        (answer(), False),  # of an archive
        (answer("", state="stopped"), False),
        (answer(state="streaming"), False),
        (answer(state="stopped", edited=True), False),
        (ChatMessage(1, "user", "Hello", state="stopped"), False),
    ],
)
def test_a_cut_or_stopped_answer_goes_on_and_a_finished_one_does_not(message, goes_on):
    assert can_go_on(message) == goes_on


def test_a_thought_without_an_answer_goes_on_whatever_ended_it() -> None:
    thought = answer("", thinking="Hm", stats=stats(FinishReason.STOP))
    assert can_go_on(thought)
    assert partial_answer(thought) == PartialAnswer(thinking="Hm", inside_thinking=True)
    closed = stats(FinishReason.CANCELLED, thinking_end=ThinkingEnd.REQUEST)
    thought = answer("", thinking="Hm", state="stopped", stats=closed)
    assert can_go_on(thought)
    assert partial_answer(thought) == PartialAnswer(thinking="Hm")


def test_the_numbers_of_a_continuation_are_added() -> None:
    before = stats(FinishReason.LENGTH, completion_tokens=40, decode_s=4.0, prompt_tokens=10)
    after = stats(FinishReason.STOP, completion_tokens=20, decode_s=1.0, prompt_tokens=50)
    both = merged_stats(before, after)
    assert both is not None
    assert (both.completion_tokens, both.decode_s, both.prompt_tokens) == (60, 5.0, 10)
    assert both.finish_reason is FinishReason.STOP

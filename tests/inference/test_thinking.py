"""Control of the thinking: its budget, "answer now", loops, and continued answers."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingFinished,
)
from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.core.settings import SamplingSettings
from support.budgets import ROOMY_MIB
from support.closing_replies import text_of

pytestmark = pytest.mark.integration

# The starter does not think by itself: this template opens its thinking, as R1's does.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n<think>\n' }}"
)
Delta = AnswerDelta | ThinkingDelta
STORY = "Write on and on about a dragon."
# Nearly random tokens, among which neither an end nor a closing tag comes up.
RANDOM = SamplingSettings(seed=1, temperature=5.0, top_p=1.0)
GREEDY = SamplingSettings(temperature=0.0)


@pytest.fixture(scope="module")
def thinker(shallow_starter: Path) -> Iterator[CPUInference]:
    with opened(shallow_starter) as model:
        yield model


@pytest.fixture(scope="module")
def deep_thinker(starter: Path) -> Iterator[CPUInference]:
    """One that repeats itself only where it is made to."""
    with opened(starter) as model:
        yield model


def opened(path: Path, **options: int) -> CPUInference:
    chosen = {"memory_budget": ROOMY_MIB, "context_length": 256} | options
    return CPUInference(path, chat_template=THINKING, **chosen)


@pytest.fixture(scope="module")
def model(starter: Path) -> Iterator[CPUInference]:
    with CPUInference(starter, memory_budget=ROOMY_MIB, context_length=1024) as model:
        yield model


def stats_of(events: list[GenerationEvent]) -> GenerationStats:
    assert isinstance(events[-1], GenerationFinished)
    return events[-1].stats


def acting(stream, kind, tokens, *acts):
    """All events of an answer, with something done at the first of a kind after some tokens."""
    events = []
    for event in stream:
        events.append(event)
        if isinstance(event, kind) and event.completion_tokens == tokens:
            for act in acts:
                act()
    return events


def ends_of(events: list[GenerationEvent]) -> list[ThinkingEnd]:
    return [each.end for each in events if isinstance(each, ThinkingFinished)]


def test_the_limit_counts_the_answer_and_not_the_thinking(thinker: CPUInference) -> None:
    events = list(thinker.stream(STORY, 10, sampling=RANDOM, thinking_budget=40))
    stats = stats_of(events)
    assert (stats.thinking_tokens, stats.completion_tokens) == (40, 50)
    assert stats.finish_reason is FinishReason.LENGTH
    assert not stats.inside_thinking


@pytest.mark.slow
def test_without_a_budget_the_context_ends_the_thinking_with_space_for_an_answer(thinker):
    events = list(thinker.stream(STORY, 10, sampling=RANDOM, end_repetition=False))
    stats = stats_of(events)
    assert stats.finish_reason is FinishReason.CONTEXT
    assert stats.inside_thinking
    assert stats.thinking_end is None
    assert stats.context_used == 256 - 256 // 8
    assert text_of(events, AnswerDelta) == ""


@pytest.mark.parametrize("text_every_s", [0.0, 0.03])
def test_the_end_of_the_budget_is_reported_and_the_answer_follows(thinker, text_every_s):
    events = list(
        thinker.stream(STORY, 10, sampling=RANDOM, thinking_budget=25, text_every_s=text_every_s)
    )
    assert ends_of(events) == [ThinkingEnd.BUDGET]
    assert stats_of(events).thinking_end is ThinkingEnd.BUDGET
    kinds = [type(each) for each in events]
    closed = kinds.index(ThinkingFinished)
    assert ThinkingDelta not in kinds[closed:]
    assert AnswerDelta not in kinds[:closed]
    assert text_of(events, AnswerDelta)
    assert "</think>" not in text_of(events, AnswerDelta)


def test_the_answer_after_a_closed_thought_follows_from_the_same_cells(deep_thinker):
    closed = deep_thinker.complete(STORY, 6, sampling=GREEDY, thinking_budget=12).stats
    closing = len(deep_thinker.tokenize("\n</think>\n\n", special=True))
    last = 1  # it was sampled and not computed
    assert closed.context_used == closed.prompt_tokens + 12 + closing + 6 - last


def test_a_budget_of_0_turns_thinking_off(thinker: CPUInference) -> None:
    events = list(thinker.stream(STORY, 10, sampling=RANDOM, thinking_budget=0))
    assert text_of(events, ThinkingDelta) == ""
    assert ends_of(events) == []
    stats = stats_of(events)
    assert (stats.thinking_tokens, stats.completion_tokens) == (0, 10)
    assert stats.thinking_end is ThinkingEnd.BUDGET


def test_the_thinking_ends_on_request_and_the_answer_follows(thinker: CPUInference) -> None:
    stream = thinker.stream(STORY, 10, sampling=RANDOM)
    events = acting(stream, ThinkingDelta, 8, thinker.end_thinking)
    assert ends_of(events) == [ThinkingEnd.REQUEST]
    stats = stats_of(events)
    assert stats.finish_reason is FinishReason.LENGTH
    assert stats.completion_tokens - stats.thinking_tokens == 10
    assert stats.thinking_tokens < 12


@pytest.mark.slow
@pytest.mark.quiet
def test_the_thinking_ends_within_300_ms(thinker: CPUInference) -> None:
    began = 0.0
    for event in thinker.stream(STORY, 5, sampling=RANDOM, text_every_s=1e6):
        if isinstance(event, ThinkingDelta) and not began:
            began = time.perf_counter()
            thinker.end_thinking()
        if isinstance(event, ThinkingFinished):
            assert time.perf_counter() - began < 0.3
    assert began


def test_ending_the_thinking_changes_nothing_once_the_answer_has_begun(model: CPUInference) -> None:
    undisturbed = model.complete(STORY, 16, sampling=GREEDY)
    stream = model.stream(STORY, 16, sampling=GREEDY)
    events = acting(stream, AnswerDelta, 5, model.end_thinking)
    assert text_of(events, AnswerDelta) == undisturbed.text


def test_a_cancel_after_ending_the_thinking_still_ends_the_answer(thinker: CPUInference) -> None:
    stream = thinker.stream(STORY, 200, sampling=RANDOM)
    events = acting(stream, ThinkingDelta, 5, thinker.end_thinking, thinker.cancel)
    assert stats_of(events).finish_reason is FinishReason.CANCELLED


def test_a_list_of_prompts_has_the_same_limits(shallow_starter: Path) -> None:
    with opened(shallow_starter, context_length=512, batch_size=2) as model:
        answers = model.complete_many([STORY, "And a cat?"], 10, sampling=RANDOM, thinking_budget=8)
    for answer in answers:
        stats = answer.stats
        assert (stats.thinking_tokens, stats.completion_tokens) == (8, 18)
        assert stats.thinking_end is ThinkingEnd.BUDGET


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["I am a humble dragon, and I fly.", "龙飞过山，龙飞过海，龙飞过天。"]
)
def test_a_loop_of_the_starter_is_ended(model: CPUInference, line: str) -> None:
    """A small model that has repeated a line a few times goes on with it."""
    begun = PartialAnswer(text=f"{line}\n" * 6)
    answer = model.complete(STORY, 300, sampling=GREEDY, continues=begun)
    assert answer.stats.finish_reason is FinishReason.REPETITION
    assert line in answer.text
    more = answer.stats.completion_tokens + 8
    free = model.complete(STORY, more, sampling=GREEDY, continues=begun, end_repetition=False)
    assert free.text.startswith(answer.text)
    assert free.stats.finish_reason is FinishReason.LENGTH


def test_a_loop_in_the_thinking_closes_it(deep_thinker: CPUInference) -> None:
    begun = PartialAnswer(thinking="I am a dragon, and I fly.\n" * 9, inside_thinking=True)
    events = list(deep_thinker.stream(STORY, 5, sampling=GREEDY, continues=begun))
    assert ends_of(events) == [ThinkingEnd.REPETITION]
    assert not stats_of(events).inside_thinking


# ---- continuing ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uncut(model: CPUInference) -> str:
    return model.generate(STORY, 24, sampling=GREEDY)


@pytest.mark.parametrize("cut", [1, 13])
def test_a_cut_answer_goes_on_as_the_uncut_one(model: CPUInference, uncut: str, cut: int) -> None:
    begun = model.complete(STORY, cut, sampling=GREEDY)
    events = list(model.stream(STORY, 24 - cut, sampling=GREEDY, continues=begun.partial))
    assert begun.text + text_of(events, AnswerDelta) == uncut
    first = events[0]
    assert isinstance(first, PrefillProgress)
    assert first.total - first.cached == 1  # nothing but the last token was computed again


def test_after_a_thought_without_an_answer_the_answer_is_written(deep_thinker):
    """A model that ended at once after its thinking would do so again."""
    ends = {2: 100.0}  # <|im_end|>
    thought = PartialAnswer(thinking="I am a dragon.")
    answer = deep_thinker.complete(STORY, 4, sampling=GREEDY, logit_bias=ends, continues=thought)
    assert answer.text.strip()
    assert answer.stats.finish_reason is FinishReason.STOP


def test_a_stopped_answer_goes_on_in_its_thinking(deep_thinker: CPUInference) -> None:
    whole = deep_thinker.complete(STORY, 6, sampling=GREEDY, thinking_budget=24)
    stream = deep_thinker.stream(STORY, 6, sampling=GREEDY)
    before = acting(stream, ThinkingDelta, 10, deep_thinker.cancel)
    stats = stats_of(before)
    assert stats.inside_thinking
    partial = PartialAnswer(thinking=text_of(before, ThinkingDelta), inside_thinking=True)
    left = 24 - stats.completion_tokens
    rest = deep_thinker.complete(STORY, 6, sampling=GREEDY, thinking_budget=left, continues=partial)
    together = partial.extended(rest.partial)
    assert (together.thinking, together.text) == (whole.thinking, whole.text)


def test_an_answer_that_ended_in_its_thinking_answers_now_or_thinks_on(thinker):
    begun = thinker.complete(STORY, 5, sampling=RANDOM, end_repetition=False).partial
    assert begun.inside_thinking
    events = list(thinker.stream(STORY, 5, sampling=RANDOM, thinking_budget=0, continues=begun))
    assert text_of(events, ThinkingDelta) == ""
    assert ends_of(events) == [ThinkingEnd.BUDGET]
    assert stats_of(events).completion_tokens == 5
    thought = thinker.complete(STORY, 5, sampling=RANDOM, continues=begun, end_repetition=False)
    assert thought.stats.inside_thinking
    assert thought.stats.context_used == 256


@pytest.mark.slow
def test_an_answer_goes_on_after_others_were_given(model: CPUInference) -> None:
    whole = model.complete(STORY, 40, sampling=GREEDY)
    begun = model.complete(STORY, 15, sampling=GREEDY)
    model.complete("Another question", 10, sampling=GREEDY)
    rest = model.complete(STORY, 25, sampling=GREEDY, continues=begun.partial)
    assert (begun.text + rest.text)[:60] == whole.text[:60]  # the cells were computed again
    assert rest.stats.prompt_tokens == begun.stats.prompt_tokens + 15


def test_an_answer_of_an_earlier_process_goes_on(model: CPUInference) -> None:
    begun = PartialAnswer(text="Once upon a time there was a red dragon who lived")
    rest = model.complete(STORY, 10, sampling=GREEDY, continues=begun)
    assert rest.stats.completion_tokens == 10
    assert rest.text.startswith(" ")  # it goes on within the sentence


def test_an_answer_with_a_schema_is_not_continued(model: CPUInference) -> None:
    with pytest.raises(WrongUsage, match="schema"):
        list(model.stream(STORY, continues=PartialAnswer(text="{"), json_schema={"const": 1}))

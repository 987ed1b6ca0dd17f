"""Drafts: guessed from repetitions, confirmed by the sampler, used where they pay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.drafts import DraftPace, Repetitions
from deepseek_r1.engine.schema import Schema
from deepseek_r1.memory.plan import DRAFT_TOKENS

LIST = "Say these words again, ten times: red green blue red green blue red green blue."
TWENTY_TIMES_THE_SAME = {
    "type": "array",
    "items": {"const": "red green blue"},
    "minItems": 20,
    "maxItems": 20,
}


def test_what_followed_on_the_same_three_tokens_is_guessed() -> None:
    assert Repetitions().guess([1, 2, 3, 4, 5, 6, 1, 2], 3, 4) == [4, 5, 6, 1]
    assert Repetitions().guess([1, 2, 3, 4, 5, 6, 1, 2], 3, 2) == [4, 5]


def test_the_last_of_several_places_counts() -> None:
    assert Repetitions().guess([1, 2, 3, 7, 1, 2, 3, 8, 1, 2], 3, 1) == [8]


def test_a_repetition_that_reaches_into_the_end_goes_on_with_the_token_itself() -> None:
    assert Repetitions().guess([5, 5, 5], 5, 4) == [5]


@pytest.mark.parametrize("before", [[], [1], [1, 2], [1, 2, 3, 4]])
def test_nothing_is_guessed_where_nothing_repeats(before: list[int]) -> None:
    assert Repetitions().guess(before, 9, 4) == []


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(1, 6))
def test_a_growing_text_is_guessed_as_a_new_one(text: list[int], most: int) -> None:
    growing = Repetitions()
    for end in range(len(text)):
        guessed = growing.guess(text[:end], text[end], most)
        assert guessed == Repetitions().guess(text[:end], text[end], most)
        assert len(guessed) <= most


def test_drafts_that_do_not_pay_rest_and_are_tried_again() -> None:
    pace = DraftPace()
    assert not pace.pays  # what a plain pass takes is not known yet
    pace.saw_plain(0.1)
    assert pace.pays
    for _ in range(3):
        pace.saw_drafted(0.15, gained=1)
    assert not pace.pays
    tokens = 0
    while not pace.pays:
        pace.saw_plain(0.1)
        tokens += 1
    assert 10 < tokens < 200


def test_drafts_that_pay_go_on() -> None:
    pace = DraftPace()
    pace.saw_plain(0.1)
    for _ in range(50):
        pace.saw_drafted(0.15, gained=2)
        assert pace.pays


@pytest.fixture(scope="module")
def from_the_disk() -> Iterator[CPUInference]:
    path = starter_model()
    assert path is not None
    with CPUInference(
        path, memory_budget=256, context_length=512, swap_enabled=True, window_mib=110.0
    ) as model:  # fmt: skip
        assert model.weights_stats is not None, "nothing is streamed under this budget"
        yield model


def answered(
    model: CPUInference, question: str, schema: Schema | None = None, **sampling: float
) -> GenerationStats:
    chosen = SamplingSettings(max_tokens=96, **sampling)
    *_, last = model.stream(question, sampling=chosen, json_schema=schema)
    return last.stats


@pytest.mark.native
def test_a_text_that_repeats_itself_takes_fewer_passes(from_the_disk: CPUInference) -> None:
    """The schema leaves the model no other text, so what it says is no matter of chance."""
    model = from_the_disk
    stats = answered(model, LIST, TWENTY_TIMES_THE_SAME)
    assert model.context_used == stats.context_used
    assert stats.context_used == stats.prompt_tokens + stats.completion_tokens - 1
    assert stats.accepted <= stats.drafted <= DRAFT_TOKENS * stats.completion_tokens
    assert stats.accepted > 8  # three passes with drafts at least, before they may rest
    assert stats.tokens_per_pass > 1.1


@pytest.mark.native
@pytest.mark.parametrize("sampling", [{"seed": 5}, {"temperature": 0.0}])
def test_an_answer_that_must_be_the_same_again_is_not_drafted(
    from_the_disk: CPUInference, sampling: dict[str, float]
) -> None:
    stats = answered(from_the_disk, LIST, **sampling)
    assert (stats.drafted, stats.tokens_per_pass) == (0, 1.0)


@pytest.mark.native
def test_the_context_behind_drafts_is_that_of_its_text(from_the_disk: CPUInference) -> None:
    """After drafts were taken back, the same question finds its whole prompt in the cache."""
    model = from_the_disk
    first = answered(model, LIST, temperature=0.3)
    again = answered(model, LIST, temperature=0.3)
    assert again.cached_tokens == first.prompt_tokens - 1

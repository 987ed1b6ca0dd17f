"""Drafted tokens are verified by the sampler, leave its distribution, and cost passes that pay."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.memory.plan import DRAFT_TOKENS
from support.distribution import TOKENS, draw_tokens, same_source_p, streamed, tiny_pair

LIST = "Say these words again, ten times: red green blue red green blue red green blue."
TWENTY_TIMES_THE_SAME = {
    "type": "array",
    "items": {"const": "red green blue"},
    "minItems": 20,
    "maxItems": 20,
}


@pytest.fixture(scope="module")
def from_the_disk(starter: Path) -> Iterator[CPUInference]:
    with streamed(starter, 256, window_mib=110.0) as model:
        assert model.weights_stats is not None, "nothing is streamed under this budget"
        yield model


@pytest.fixture(scope="module")
def by_name(starter: Path) -> Iterator[CPUInference]:
    """The same with drafts from the text by name."""
    with streamed(starter, 256, window_mib=110.0, drafts="lookup") as model:
        yield model


def answered(model, question, schema=None, max_tokens=24, **sampling):
    chosen = SamplingSettings(max_tokens=max_tokens, **sampling)
    *_, last = model.stream(question, sampling=chosen, json_schema=schema)
    return last.stats


def test_a_text_that_repeats_itself_takes_fewer_passes(by_name: CPUInference) -> None:
    """The schema leaves the model no other text, so what it says is no matter of chance."""
    stats = answered(by_name, LIST, TWENTY_TIMES_THE_SAME, 64, temperature=0.0)
    assert by_name.context_used == stats.context_used
    assert stats.context_used == stats.prompt_tokens + stats.completion_tokens - 1
    assert stats.accepted <= stats.drafted <= DRAFT_TOKENS * stats.completion_tokens
    assert stats.tokens_per_pass > 2
    again = answered(by_name, LIST, TWENTY_TIMES_THE_SAME, 64, temperature=0.0)
    assert (again.drafted, again.accepted) == (stats.drafted, stats.accepted)


def test_a_model_in_memory_drafts_where_its_text_repeats_itself(starter: Path) -> None:
    with CPUInference(starter, memory_budget=2048) as model:
        assert model.weights_stats is None
        stats = answered(model, LIST, TWENTY_TIMES_THE_SAME, 64, temperature=0.5)
        assert 0 < stats.accepted <= stats.drafted
        assert model.context_used == stats.prompt_tokens + stats.completion_tokens - 1


@pytest.mark.parametrize("sampling", [{"seed": 5}, {"temperature": 0.0}])
def test_an_answer_that_must_be_the_same_again_is_not_drafted(from_the_disk, sampling):
    stats = answered(from_the_disk, LIST, **sampling)
    assert (stats.drafted, stats.tokens_per_pass) == (0, 1.0)


def test_the_context_after_drafts_is_that_of_its_text(from_the_disk: CPUInference) -> None:
    """After drafts were taken back, the same question finds its whole prompt in the cache."""
    first = answered(from_the_disk, LIST, temperature=0.3)
    again = answered(from_the_disk, LIST, temperature=0.3)
    assert again.cached_tokens == first.prompt_tokens - 1


_DRAWS = 200
_PROMPT = "My favourite animal is"


@pytest.mark.slow
@pytest.mark.integration
def test_drafted_tokens_are_distributed_as_others(tmp_path, monkeypatch):
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    model, temperature = tiny_pair(tmp_path)
    drafted, count = draw_tokens(model, model, _PROMPT, _DRAWS, temperature=temperature, seed=0)
    plain, none = draw_tokens(model, None, _PROMPT, _DRAWS, temperature=temperature, seed=_DRAWS)
    assert (count > _DRAWS, none) == (True, 0)
    for place in range(TOKENS):
        ones, others = (
            [each[place] for each in arm if len(each) > place] for arm in (drafted, plain)
        )
        assert same_source_p(ones, others) > 0.001


def test_the_chi_square_test_tells_samples_apart() -> None:
    chance = random.Random(3)
    ones, same = ([chance.choice("aabbbc") for _ in range(2000)] for _ in range(2))
    other = [chance.choice("aabbcc") for _ in range(2000)]
    assert same_source_p(ones, same) > 0.01
    assert same_source_p(ones, other) < 1e-6

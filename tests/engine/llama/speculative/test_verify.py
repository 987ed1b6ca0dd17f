"""Drafted tokens are verified by the sampler, and cost passes only where they pay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.output.schema import Schema
from deepseek_r1.memory.plan import DRAFT_TOKENS

LIST = "Say these words again, ten times: red green blue red green blue red green blue."
TWENTY_TIMES_THE_SAME = {
    "type": "array",
    "items": {"const": "red green blue"},
    "minItems": 20,
    "maxItems": 20,
}


@pytest.fixture(scope="module")
def from_the_disk() -> Iterator[CPUInference]:
    path = starter_model()
    assert path is not None
    with CPUInference(
        path, memory_budget=256, context_length=512, swap_enabled=True, window_mib=110.0
    ) as model:  # fmt: skip
        assert model.weights_stats is not None, "nothing is streamed under this budget"
        yield model


@pytest.fixture(scope="module")
def by_name() -> Iterator[CPUInference]:
    """The same with drafts from the text by name."""
    path = starter_model()
    assert path is not None
    with CPUInference(
        path,
        drafts="lookup",
        memory_budget=256,
        context_length=512,
        swap_enabled=True,
        window_mib=110.0,
    ) as model:
        yield model


def answered(
    model: CPUInference,
    question: str,
    schema: Schema | None = None,
    max_tokens: int = 40,
    **sampling: float,
) -> GenerationStats:
    chosen = SamplingSettings(max_tokens=max_tokens, **sampling)
    *_, last = model.stream(question, sampling=chosen, json_schema=schema)
    return last.stats


@pytest.mark.integration
def test_a_text_that_repeats_itself_takes_fewer_passes(by_name: CPUInference) -> None:
    """The schema leaves the model no other text, so what it says is no matter of chance."""
    model = by_name
    stats = answered(model, LIST, TWENTY_TIMES_THE_SAME, 96, temperature=0.0)
    assert model.context_used == stats.context_used
    assert stats.context_used == stats.prompt_tokens + stats.completion_tokens - 1
    assert stats.accepted <= stats.drafted <= DRAFT_TOKENS * stats.completion_tokens
    assert stats.tokens_per_pass > 2
    again = answered(model, LIST, TWENTY_TIMES_THE_SAME, 96, temperature=0.0)
    assert (again.drafted, again.accepted) == (stats.drafted, stats.accepted)


@pytest.mark.integration
@pytest.mark.parametrize("sampling", [{"seed": 5}, {"temperature": 0.0}])
def test_an_answer_that_must_be_the_same_again_is_not_drafted(
    from_the_disk: CPUInference, sampling: dict[str, float]
) -> None:
    stats = answered(from_the_disk, LIST, **sampling)
    assert (stats.drafted, stats.tokens_per_pass) == (0, 1.0)


@pytest.mark.integration
def test_the_context_after_drafts_is_that_of_its_text(from_the_disk: CPUInference) -> None:
    """After drafts were taken back, the same question finds its whole prompt in the cache."""
    model = from_the_disk
    first = answered(model, LIST, temperature=0.3)
    again = answered(model, LIST, temperature=0.3)
    assert again.cached_tokens == first.prompt_tokens - 1

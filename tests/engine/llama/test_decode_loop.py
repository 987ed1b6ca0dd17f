"""An answer is the same whether its text is returned token by token or many tokens at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationStats
from deepseek_r1.core.settings import SamplingSettings
from support.budgets import ROOMY_MIB

STORY = "Write on and on about a dragon."


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[CPUInference]:
    with CPUInference(shallow_starter, memory_budget=ROOMY_MIB, context_length=256) as model:
        yield model


def nearly_random(max_tokens: int) -> SamplingSettings:
    """For answers whose end hardly ever comes up."""
    return SamplingSettings(max_tokens=max_tokens, seed=1, temperature=5.0, top_p=1.0)


def generate(
    model: CPUInference, text_every_s: float, sampling: SamplingSettings
) -> tuple[list[str], GenerationStats]:
    *events, last = model.stream(STORY, sampling=sampling, text_every_s=text_every_s)
    return [each.text for each in events if isinstance(each, AnswerDelta)], last.stats


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 40])
def test_the_same_seed_gives_the_same_text(model: CPUInference, max_tokens: int) -> None:
    singly, of_single = generate(model, 0.0, nearly_random(max_tokens))
    together, of_runs = generate(model, 0.03, nearly_random(max_tokens))
    assert "".join(together) == "".join(singly)
    assert len(together) <= len(singly)
    for name in ("completion_tokens", "context_used", "finish_reason", "prompt_tokens"):
        assert getattr(of_runs, name) == getattr(of_single, name), name
    assert of_runs.completion_tokens == max_tokens


@pytest.mark.slow
@pytest.mark.parametrize("word", [" sea", "The sea is wide and deep.\n"])
def test_a_repetition_ends_a_run_at_the_same_token(model: CPUInference, word: str) -> None:
    looping = SamplingSettings(
        max_tokens=250, temperature=0.0, logit_bias=dict.fromkeys(model.tokenize(word), 60.0)
    )
    texts = [
        "".join(generate(model, text_every_s, looping)[0])
        for text_every_s in (0.0, 0.03, 0.0301, 1e6)
    ]
    assert texts[0]
    assert texts == [texts[0]] * len(texts)


def test_a_full_context_ends_a_run(model: CPUInference) -> None:
    _, stats = generate(model, 0.03, nearly_random(10_000))
    assert stats.finish_reason is FinishReason.CONTEXT
    assert stats.context_used == 256


@pytest.mark.slow
@pytest.mark.quiet
def test_a_cancel_does_not_wait_for_a_run(model: CPUInference) -> None:
    events = model.stream(STORY, sampling=SamplingSettings(max_tokens=200), text_every_s=1e6)
    for event in events:
        if isinstance(event, AnswerDelta):
            model.cancel()
            break
    began = time.perf_counter()
    *_, last = events
    assert time.perf_counter() - began < 0.2
    assert last.stats.finish_reason is FinishReason.CANCELLED

"""An answer is the same whether its text is told token by token or a stretch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationStats
from deepseek_r1.core.settings import SamplingSettings

pytestmark = pytest.mark.native
STORY = "Write on and on about a dragon."


@pytest.fixture(scope="module")
def model(starter: Path) -> Iterator[CPUInference]:
    with CPUInference(starter, memory_budget=1024, context_length=256) as model:
        yield model


def told(
    model: CPUInference, text_every_s: float, max_tokens: int, seed: int = 1
) -> tuple[list[str], GenerationStats]:
    sampling = SamplingSettings(max_tokens=max_tokens, seed=seed)
    *events, last = model.stream(STORY, sampling=sampling, text_every_s=text_every_s)
    return [each.text for each in events if isinstance(each, AnswerDelta)], last.stats


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 40])
def test_the_same_seed_says_the_same(model: CPUInference, max_tokens: int) -> None:
    singly, of_single = told(model, 0.0, max_tokens)
    together, of_stretches = told(model, 0.03, max_tokens)
    assert "".join(together) == "".join(singly)
    assert len(together) <= len(singly)
    for name in ("completion_tokens", "context_used", "finish_reason", "prompt_tokens"):
        assert getattr(of_stretches, name) == getattr(of_single, name), name
    assert of_stretches.completion_tokens == max_tokens


def test_a_full_context_ends_a_stretch(model: CPUInference) -> None:
    _, stats = told(model, 0.03, 10_000)
    assert stats.finish_reason is FinishReason.CONTEXT
    assert stats.context_used == 256


def test_a_stop_does_not_wait_for_a_stretch(model: CPUInference) -> None:
    events = model.stream(STORY, sampling=SamplingSettings(max_tokens=200), text_every_s=1e6)
    for event in events:
        if isinstance(event, AnswerDelta):
            model.cancel()
            break
    began = time.perf_counter()
    *_, last = events
    assert time.perf_counter() - began < 0.2
    assert last.stats.finish_reason is FinishReason.CANCELLED

"""What is left out before the sampler looks at chances does not matter to what it chooses."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.runner import LlamaEngine
from deepseek_r1.engine.llama.sampler import HOPELESS

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def model() -> Iterator[CPUInference]:
    path = starter_model()
    assert path is not None
    with CPUInference(path, memory_budget=1024, context_length=512) as model:
        yield model


@pytest.mark.parametrize("question", ["Write a story about a dragon.", "def quicksort(a):", "1+1="])
def test_hopeless_tokens_have_a_ten_thousandth_of_all_chances(
    model: CPUInference, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    engine = model._engine
    assert isinstance(engine, LlamaEngine)
    api, context, size = engine._library.api, engine._context, engine._model.vocabulary
    stretches, left_out, kept = engine._stretches, [], []
    write = stretches.write

    def written(*arguments: Any) -> int:
        token = write(*arguments)  # a stretch of one: no text waits
        address = api.llama_get_logits_ith(context.pointer, -1)
        logits = np.ctypeslib.as_array(address, (size,)).astype(np.float64)
        chances = np.exp(logits - logits.max())
        hopeless = chances < HOPELESS
        left_out.append(float(chances[hopeless].sum() / chances.sum()))
        kept.append(float(np.mean(~hopeless)))
        return token

    monkeypatch.setattr(stretches, "write", written)
    model.complete(question, 60, sampling=SamplingSettings(temperature=1.0, seed=3))
    assert len(left_out) == 59
    assert statistics.mean(left_out) < 5e-4
    assert max(left_out) < 2e-3
    assert statistics.mean(kept) < 0.6  # what the sampler is spared

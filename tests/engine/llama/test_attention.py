"""Attention in a real context: the application's kernels beside llama.cpp's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.binding import context, kernels
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.kernels import attention_vector_bits, make_attention
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not attention_vector_bits(), reason="llama.cpp computes attention here"),
]

PIECES = (200, 1, 1, 13, 256, 7, 64, 100, 1)  # tokens of one computation


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[LlamaModel]:
    made = LlamaModel(library(), [shallow_starter], lambda _fraction: True)
    yield made
    made.close()


def log_probabilities(model: LlamaModel, kv_type: KVType) -> np.ndarray:
    """The last token's, after each of several computations of a text."""
    params = ContextParams(1024, 256, kv_type, 1, 2, 2)
    made = LlamaContext(library(), model, params)
    tokens = [1000 + (number * number) % 9973 for number in range(sum(PIECES))]
    api, rows, first = library().api, [], 0
    for count in PIECES:
        made.compute(tokens[first : first + count])
        first += count
        logits = np.ctypeslib.as_array(api.llama_get_logits_ith(made.pointer, -1), (49152,))
        rows.append(logits.astype(np.float64))
    made.close()
    shifted = np.array(rows) - np.max(rows, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("kv_type", [KVType.F16, KVType.Q8_0])
@pytest.mark.parametrize("bits", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_the_kernels_compute_what_llama_cpp_computes(
    model: LlamaModel, kv_type: KVType, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bits > attention_vector_bits():
        pytest.skip("this processor has shorter vectors")
    monkeypatch.setattr(kernels, "attention_vector_bits", lambda: bits)
    ours = log_probabilities(model, kv_type)
    monkeypatch.setattr(context, "make_attention", lambda *_: None)
    theirs = log_probabilities(model, kv_type)
    assert not np.array_equal(ours, theirs)  # or one of them was not used
    assert (np.exp(theirs) * (theirs - ours)).sum(-1).max() < 0.05


class WithoutCustomNodes:
    """The functions of a llama.cpp that has none for custom nodes."""

    def __getattr__(self, name: str) -> Any:
        if name == "ggml_custom_4d":
            raise AttributeError(name)
        return getattr(library().functions, name)


def test_a_llama_cpp_without_custom_nodes_computes_attention_itself() -> None:
    assert make_attention(SimpleNamespace(functions=WithoutCustomNodes()), None) is None

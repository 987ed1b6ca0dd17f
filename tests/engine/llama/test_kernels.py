"""Attention and few rows in a real context: the application's kernels beside llama.cpp's."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.binding import context, kernels
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.kernels import (
    attention_vector_bits,
    make_attention,
    make_mul_mat,
    supported_kernels,
)
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.native.native_library import MulMatKernel, native
from support.streaming import loaded

pytestmark = pytest.mark.integration
attention = pytest.mark.skipif(not attention_vector_bits(), reason="llama.cpp computes attention")
multiplication = pytest.mark.usefixtures("_kernels_are_used")


@pytest.fixture
def _kernels_are_used() -> None:
    if not supported_kernels(library()):
        pytest.skip("llama.cpp multiplies here")


class Without:
    """The functions of a llama.cpp that does not export this one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(library().functions, name)


PIECES = (200, 1, 1, 13, 256, 7, 64, 100, 1)  # tokens of one computation


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[LlamaModel]:
    with closing(LlamaModel(library(), [shallow_starter], lambda _fraction: True)) as made:
        yield made


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


@attention
@pytest.mark.parametrize("kv_type", [KVType.F16, KVType.Q8_0])
@pytest.mark.parametrize("bits", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_the_kernels_compute_what_llama_cpp_computes(model, kv_type, bits, monkeypatch):
    if bits > attention_vector_bits():
        pytest.skip("this processor has shorter vectors")
    monkeypatch.setattr(kernels, "attention_vector_bits", lambda: bits)
    ours = log_probabilities(model, kv_type)
    monkeypatch.setattr(context, "make_attention", lambda *_: None)
    theirs = log_probabilities(model, kv_type)
    assert not np.array_equal(ours, theirs)  # or one of them was not used
    assert (np.exp(theirs) * (theirs - ours)).sum(-1).max() < 0.05


@attention
def test_a_llama_cpp_without_custom_nodes_computes_attention_itself() -> None:
    assert make_attention(SimpleNamespace(functions=Without("ggml_custom_4d")), None) is None


def logits(model, weights_mib, pieces, *, repack=False):
    """The logits of the last token of each of several computations of a text."""
    with loaded(model, weights_mib, repack=repack) as each:
        rows, first = [], 0
        for count in pieces:
            each.context.compute([1000 + 7 * i for i in range(first, first + count)])
            first += count
            found = library().api.llama_get_logits_ith(each.context.pointer, -1)
            rows.append(np.array(np.ctypeslib.as_array(found, (each.model.vocabulary,))))
    return np.array(rows)


WAYS = pytest.mark.parametrize("weights_mib", [None, 60.0], ids=["in memory", "streamed"])


@multiplication
@WAYS
def test_drafted_tokens_change_no_bit(r1_shaped, weights_mib, monkeypatch):
    """As long as llama.cpp computes each row by itself, which it does for fewer than eight.

    Graphs are used again where a computation has as many rows as the one before.
    """
    pieces = [7, 1, 2, 2, 3, 4, 4, 4, 5, 6, 1, 1]
    ours = logits(r1_shaped, weights_mib, pieces)
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    assert np.array_equal(ours, logits(r1_shaped, weights_mib, pieces))


@multiplication
@WAYS
def test_each_of_twelve_rows_has_the_bits_of_one(r1_shaped, weights_mib, monkeypatch):
    monkeypatch.setattr(kernels, "UNMEASURED_ROWS", (1, 12))
    together = logits(r1_shaped, weights_mib, [12])[-1]
    assert np.array_equal(together, logits(r1_shaped, weights_mib, [1] * 12)[-1])
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    theirs = logits(r1_shaped, weights_mib, [12])[-1]
    if MulMatKernel.SSE42 in supported_kernels(library()):
        assert np.array_equal(together, theirs), "llama.cpp has no tiles without AVX"
    else:
        assert not np.array_equal(together, theirs), "our kernels were not used"


@multiplication
def test_repacked_weights_are_left_to_llama_cpp(r1_shaped, monkeypatch):
    """Where llama.cpp repacks them (Q4_K on each processor with AVX2), their bytes are others."""
    pieces = [7, 2, 4, 4]
    ours = logits(r1_shaped, None, pieces, repack=True)
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    assert np.array_equal(ours, logits(r1_shaped, None, pieces, repack=True))


@multiplication
def test_another_llama_cpp_multiplies_itself() -> None:
    other = SimpleNamespace(
        functions=Without("quantize_row_q8_K_ref"),
        cpu_variant=SimpleNamespace(features=("AVX2", "FMA", "F16C")),
    )
    assert make_mul_mat(other, None) is None
    with_avx_only = SimpleNamespace(
        functions=library().functions, cpu_variant=SimpleNamespace(features=("AVX", "SSE3"))
    )
    assert make_mul_mat(with_avx_only, None) is None


@multiplication
@pytest.mark.parametrize(
    ("features", "kernel"),
    [
        (("SSE3", "SSSE3"), MulMatKernel.SSE42),
        (("SSE3", "SSSE3", "AVX", "F16C", "FMA", "AVX2"), MulMatKernel.AVX2),
    ],
)
def test_the_kernels_are_those_with_the_bits_of_llama_cpps(features, kernel):
    """What matters is llama.cpp's instructions: the processor may have more of them."""
    if not native().mul_mat_supported(kernel):
        pytest.skip("this processor has no such instructions")
    built = SimpleNamespace(cpu_variant=SimpleNamespace(features=features))
    assert supported_kernels(built)[-1] == kernel


@multiplication
def test_a_llama_cpp_that_does_not_say_what_it_uses_multiplies_itself() -> None:
    silent = SimpleNamespace(cpu_variant=SimpleNamespace(features=()))
    assert supported_kernels(silent) == []

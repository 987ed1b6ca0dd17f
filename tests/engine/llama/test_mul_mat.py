"""Few rows in a real context: the application's kernels beside llama.cpp's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepseek_r1.engine.llama.binding import context
from deepseek_r1.engine.llama.binding.kernels import make_mul_mat, supported_kernels
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.native.native_library import MulMatKernel, native
from support.streaming import loaded

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _kernels_are_used() -> None:
    if not supported_kernels(library()):
        pytest.skip("llama.cpp multiplies here")


def logits(
    model: Path, weights_mib: float | None, pieces: list[int], *, repack: bool = False
) -> np.ndarray:
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


@WAYS
def test_drafted_tokens_change_no_bit(
    r1_shaped: Path, weights_mib: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as llama.cpp computes each row by itself, which it does for fewer than eight.

    Graphs are used again where a computation has as many rows as the one before.
    """
    pieces = [7, 1, 2, 2, 3, 4, 4, 4, 5, 6, 1, 1]
    ours = logits(r1_shaped, weights_mib, pieces)
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    assert np.array_equal(ours, logits(r1_shaped, weights_mib, pieces))


@WAYS
def test_each_of_twelve_rows_has_the_bits_of_one(
    r1_shaped: Path, weights_mib: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = logits(r1_shaped, weights_mib, [12])[-1]
    assert np.array_equal(together, logits(r1_shaped, weights_mib, [1] * 12)[-1])
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    theirs = logits(r1_shaped, weights_mib, [12])[-1]
    if MulMatKernel.SSE42 in supported_kernels(library()):
        assert np.array_equal(together, theirs), "llama.cpp has no tiles without AVX"
    else:
        assert not np.array_equal(together, theirs), "our kernels were not used"


def test_repacked_weights_are_left_to_llama_cpp(
    r1_shaped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where llama.cpp repacks them (Q4_K on each processor with AVX2), their bytes are others."""
    pieces = [7, 2, 4, 4]
    ours = logits(r1_shaped, None, pieces, repack=True)
    monkeypatch.setattr(context, "make_mul_mat", lambda *_: None)
    assert np.array_equal(ours, logits(r1_shaped, None, pieces, repack=True))


class WithoutQuantisation:
    """The functions of a llama.cpp that does not export how activations are quantised."""

    def __getattr__(self, name: str) -> Any:
        if name == "quantize_row_q8_K_ref":
            raise AttributeError(name)
        return getattr(library().functions, name)


def test_another_llama_cpp_multiplies_itself() -> None:
    other = SimpleNamespace(
        functions=WithoutQuantisation(),
        cpu_variant=SimpleNamespace(features=("AVX2", "FMA", "F16C")),
    )
    assert make_mul_mat(other, None) is None
    with_avx_only = SimpleNamespace(
        functions=library().functions, cpu_variant=SimpleNamespace(features=("AVX", "SSE3"))
    )
    assert make_mul_mat(with_avx_only, None) is None


@pytest.mark.parametrize(
    ("features", "kernel"),
    [
        (("SSE3", "SSSE3"), MulMatKernel.SSE42),
        (("SSE3", "SSSE3", "AVX", "F16C", "FMA", "AVX2"), MulMatKernel.AVX2),
    ],
)
def test_the_kernels_are_those_with_the_bits_of_llama_cpps(
    features: tuple[str, ...], kernel: MulMatKernel
) -> None:
    """What matters is llama.cpp's instructions: the processor may have more of them."""
    if not native().mul_mat_supported(kernel):
        pytest.skip("this processor has no such instructions")
    built = SimpleNamespace(cpu_variant=SimpleNamespace(features=features))
    assert supported_kernels(built)[-1] == kernel


def test_a_llama_cpp_that_does_not_say_what_it_uses_multiplies_itself() -> None:
    silent = SimpleNamespace(cpu_variant=SimpleNamespace(features=()))
    assert supported_kernels(silent) == []

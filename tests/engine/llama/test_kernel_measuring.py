"""Kernels are measured on made weights, once for a build."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepseek_r1.engine.llama.binding import kernel_measuring
from deepseek_r1.engine.llama.binding.kernel_measuring import measured_times
from deepseek_r1.engine.llama.binding.kernels import supported_kernels
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.formats.ggml_types import TENSOR_TYPES
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.memory.kernel_times import MEASURED_ROWS, TypeTimes, kept_times

pytestmark = pytest.mark.integration
NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}


@pytest.fixture
def large(r1_shaped: Path) -> ModelHeader:
    """A model that is measured, as its header says."""
    return replace(read_header(r1_shaped), file_bytes=1 << 30)


@pytest.mark.parametrize("kind", ["Q4_K", "Q8_0", "Q2_K"])
def test_each_way_to_multiply_is_measured(kind: str) -> None:
    found, _disturbed = kernel_measuring._measure(
        library(), NUMBERS[kind], TENSOR_TYPES[NUMBERS[kind]]
    )
    has_kernels = bool(supported_kernels(library())) and kind != "Q2_K"
    assert set(found.plain) == set(MEASURED_ROWS)
    assert set(found.ours) == (set(MEASURED_ROWS) if has_kernels else set())
    if "AMX_INT8" in library().cpu_variant.features and kind != "Q2_K":
        assert set(found.repacked) == set(MEASURED_ROWS)
    every = [each for way in (found.plain, found.ours, found.repacked) for each in way.values()]
    assert min(every) > 0


def test_a_type_is_measured_once_for_a_build(large, monkeypatch):
    measured: list[str] = []

    def measure(_library: object, _number: int, kind: SimpleNamespace) -> tuple[TypeTimes, int]:
        measured.append(kind.name)
        return TypeTimes(plain=dict.fromkeys(MEASURED_ROWS, 1.0 + len(measured))), 0

    monkeypatch.setattr(kernel_measuring, "_measure", measure)
    first = measured_times(library(), large)
    assert set(measured) == set(first.types) == {"Q4_K", "Q6_K"}
    assert measured_times(library(), large) == first == kept_times()
    assert len(measured) == 2
    other = SimpleNamespace(name=library().name, build="newer", functions=library().functions)
    assert measured_times(other, large) != first  # type: ignore[arg-type]
    assert len(measured) == 4


def test_a_small_model_is_not_measured(r1_shaped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_measuring, "_measure", None)
    assert measured_times(library(), read_header(r1_shaped)).types == {}


def test_what_other_programs_disturbed_is_not_kept(large, monkeypatch):
    """It would decide for good."""
    times = TypeTimes(plain=dict.fromkeys(MEASURED_ROWS, 1.0))
    monkeypatch.setattr(kernel_measuring, "_measure", lambda *_: (times, len(MEASURED_ROWS)))
    assert measured_times(library(), large).types == kept_times().types == {}
    monkeypatch.setattr(kernel_measuring, "_measure", lambda *_: (times, 1))
    assert set(measured_times(library(), large).types) == {"Q4_K", "Q6_K"}

"""The processor code of llama.cpp: which one is in use, and whether it may be."""

import sys
from types import SimpleNamespace

import pytest

from deepseek_r1.engine.llama.binding import library as library_module
from deepseek_r1.engine.llama.binding.library import (
    CpuVariant,
    library,
    loaded_cpu_variant,
    variant_in_log_line,
)
from deepseek_r1.hardware import cpu

pytestmark = pytest.mark.integration


class SystemInfo:
    """Stands for llama_print_system_info: a function of C with a type to be set."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __call__(self) -> bytes:
        return self.text


def built_with(text: bytes) -> SimpleNamespace:
    return SimpleNamespace(llama_print_system_info=SystemInfo(text))


def test_the_library_uses_only_what_the_processor_has() -> None:
    opened = library()
    assert opened.cpu_variant.features
    if sys.platform != "win32":  # which does not list all that the processor has
        assert opened.cpu_variant.missing(cpu().features) == ()
    assert opened.name.startswith("llama.cpp")
    assert opened.cpu_variant.variant in opened.name


def test_a_loaded_variant_is_read_from_the_log() -> None:
    line = "load_backend: loaded CPU backend from /opt/r1desk/lib/libggml-cpu-sse42.so"
    assert variant_in_log_line(line) == "sse42"
    assert variant_in_log_line(
        r"load_backend: loaded CPU backend from C:\R1\ggml-cpu-haswell.dll"
    ) == ("haswell")
    assert variant_in_log_line("llama_model_loader: loaded meta data with 33 key-value pairs") == ""


def test_code_for_a_newer_processor_is_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = SimpleNamespace(features=("sse4_2", "avx"))
    monkeypatch.setattr(library_module, "cpu", lambda: old)
    monkeypatch.setattr(library_module.sys, "platform", "linux")
    functions = built_with(b"CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | FMA = 1 | REPACK = 1 | ")
    with pytest.raises(OSError, match="lacks avx2, fma"):
        loaded_cpu_variant(functions, "")
    assert loaded_cpu_variant(functions, "haswell").variant == "haswell"


@pytest.mark.parametrize(
    ("features", "slow"),
    [
        (b"SSE3 = 1 | SSSE3 = 1 | ", True),
        (b"SSE3 = 1 | SSSE3 = 1 | AVX = 1 | ", True),
        (b"SSE3 = 1 | AVX = 1 | F16C = 1 | ", False),
        (b"NEON = 1 | ARM_FMA = 1 | ", False),  # which has such instructions always
    ],
)
def test_code_without_instructions_for_f16_is_slow_with_it(
    monkeypatch: pytest.MonkeyPatch, features: bytes, slow: bool
) -> None:
    monkeypatch.setattr(library_module.sys, "platform", "win32")  # nothing is checked there
    assert loaded_cpu_variant(built_with(features), "").converts_f16_slowly == slow


def test_features_that_are_no_instruction_sets_ask_nothing_of_the_processor() -> None:
    assert CpuVariant("", ("OPENMP", "REPACK", "LLAMAFILE")).missing(("sse4_2",)) == ()

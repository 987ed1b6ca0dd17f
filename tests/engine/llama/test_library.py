"""llama.cpp's library: a light import, a log that is read, code for this processor, its waiting."""

import os
import re
import sys
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from deepseek_r1.checks import installation
from deepseek_r1.engine.interface import engine_name
from deepseek_r1.engine.llama.binding import library as library_module
from deepseek_r1.engine.llama.binding.library import (
    SPIN_COUNT,
    CpuVariant,
    LibraryLog,
    library,
    loaded_cpu_variant,
    wait_policy,
    wait_policy_set,
)
from deepseek_r1.hardware import cpu
from support.command import run_code

pytestmark = pytest.mark.integration


def test_importing_the_engine_stays_light() -> None:
    """The binding's package would bring its high-level class, numpy and more."""
    code = (
        "import sys; from deepseek_r1.engine.llama.binding.library import library; library(); "
        "print([name for name in ('numpy', 'llama_cpp.llama', 'diskcache') if name in sys.modules])"
    )
    done = run_code(code)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""  # and llama.cpp prints nothing


class TestLog:
    def test_sizes_of_buffers_are_added_up(self) -> None:
        log = LibraryLog()
        log.add(2, b"load_tensors:          CPU model buffer size =   463.35 MiB\n")
        log.add(2, b"load_tensors:   CPU_REPACK model buffer size =   596.53 MiB\n")
        log.add(2, b"llama_kv_cache:        CPU KV buffer size =   112.00 MiB\n")
        assert log.buffers_mib() == {"weights": pytest.approx(1059.88), "kv_cache": 112.0}

    def test_a_line_may_come_in_pieces(self) -> None:
        log = LibraryLog()
        log.add(4, b"error: ")
        log.add(5, "größer\n".encode())
        assert log.last_error() == "error: größer"

    def test_chatter_pushes_nothing_out(self) -> None:
        log = LibraryLog()
        log.add(4, b"it broke\n")
        for _ in range(5000):
            log.add(1, b"create_tensor: ")
            log.add(5, b"done\n")
        assert log.last_error() == "it broke"


def test_the_library_uses_only_what_the_processor_has() -> None:
    opened = library()
    assert opened.cpu_variant.features
    if sys.platform != "win32":  # which does not list all that the processor has
        assert opened.cpu_variant.missing(cpu().features) == ()
    assert opened.name.startswith("llama.cpp")
    assert opened.cpu_variant.variant in opened.name


@pytest.mark.parametrize(
    ("line", "variant"),
    [
        (b"load_backend: loaded CPU backend from /opt/r1desk/lib/libggml-cpu-sse42.so", "sse42"),
        (rb"load_backend: loaded CPU backend from C:\R1\ggml-cpu-haswell.dll", "haswell"),
        (b"llama_model_loader: loaded meta data with 33 key-value pairs", ""),
    ],
)
def test_a_loaded_variant_is_read_from_the_log(line: bytes, variant: str) -> None:
    log = LibraryLog()
    log.add(2, line)
    assert log.variant() == variant


def test_code_for_a_newer_processor_is_refused_with_what_is_missing(monkeypatch):
    old = SimpleNamespace(features=("sse4_2", "avx"))
    monkeypatch.setattr(library_module, "cpu", lambda: old)
    monkeypatch.setattr(library_module.sys, "platform", "linux")
    info = "CPU : SSE3 = 1 | AVX = 1 | AVX2 = 1 | FMA = 1 | REPACK = 1 | "
    with pytest.raises(OSError, match="lacks avx2, fma"):
        loaded_cpu_variant(info, "")
    assert loaded_cpu_variant(info, "haswell").variant == "haswell"


@pytest.mark.parametrize(
    ("features", "slow"),
    [
        ("SSE3 = 1 | SSSE3 = 1 | ", True),
        ("SSE3 = 1 | SSSE3 = 1 | AVX = 1 | ", True),
        ("SSE3 = 1 | AVX = 1 | F16C = 1 | ", False),
        ("NEON = 1 | ARM_FMA = 1 | ", False),  # which has such instructions always
    ],
)
def test_code_without_instructions_for_f16_is_slow_with_it(monkeypatch, features, slow):
    monkeypatch.setattr(library_module.sys, "platform", "win32")  # nothing is checked there
    assert loaded_cpu_variant(features, "").converts_f16_slowly == slow


def test_features_that_are_no_instruction_sets_ask_nothing_of_the_processor() -> None:
    assert CpuVariant("", ("OPENMP", "REPACK", "LLAMAFILE")).missing(("sse4_2",)) == ()


def test_a_program_that_loads_the_library_itself_gets_the_same_way_of_waiting():
    code = "from deepseek_r1.engine.llama.binding.library import library; library()"
    asked = {key: value for key, value in os.environ.items() if not key.startswith(("GOMP", "OMP"))}
    with patch.dict(os.environ, asked, clear=True):
        done = run_code(code, OMP_DISPLAY_ENV="VERBOSE")
    assert done.returncode == 0
    if "GOMP_" not in done.stderr:
        pytest.skip("this build computes without GNU OpenMP")
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in done.stderr


def test_a_chosen_way_of_waiting_stands():
    assert wait_policy({"OMP_WAIT_POLICY": "passive"}) == {}
    assert wait_policy({"GOMP_SPINCOUNT": "7"}) == {}
    with wait_policy_set():
        assert os.environ["GOMP_SPINCOUNT"]


def test_the_engines_have_one_name_wherever_they_are_shown() -> None:
    assert re.fullmatch(r"llama\.cpp \(llama-cpp-python [\d.]+\)", engine_name())
    assert re.fullmatch(r"ctransformers [\d.]+", engine_name(legacy=True))
    findings = {finding.key: finding.value for finding in installation.check_software()}
    assert findings["llama-cpp-python"] == engine_name()
    assert findings["ctransformers"] == engine_name(legacy=True)

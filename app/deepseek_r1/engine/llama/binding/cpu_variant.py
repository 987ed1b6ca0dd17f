"""Identifies the CPU variant of llama.cpp that is loaded, and checks that this processor runs it.

A build with run-time variants has that code in separate libraries, named after the first processors
that could run them ("haswell": AVX2), and loads the best one. Any other build has one variant, made
for the build machine: on an older processor it would crash at the first unknown instruction. That
is checked before anything is computed.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass

from deepseek_r1.engine.llama.binding.exported_functions import ExportedFunctions
from deepseek_r1.hardware import cpu

# The line that ggml logs when it has loaded a variant: nothing else names the file.
_LOADED = re.compile(r"loaded CPU backend from .*ggml-cpu-([a-z0-9_.+-]+?)\.(?:so|dll|dylib)")
_FEATURE = re.compile(r"([A-Z][A-Z0-9_]*) = 1")

# ggml's names of instruction sets, and Linux's, which `hardware` uses on every system.
_NEEDED = {
    "SSE42": "sse4_2",
    "AVX": "avx",
    "AVX2": "avx2",
    "F16C": "f16c",
    "FMA": "fma",
    "BMI2": "bmi2",
    "AVX_VNNI": "avx_vnni",
    "AVX512": "avx512f",
    "AVX512_VBMI": "avx512vbmi",
    "AVX512_VNNI": "avx512_vnni",
    "AVX512_BF16": "avx512_bf16",
    "AMX_INT8": "amx_int8",
}


@dataclass(frozen=True, slots=True)
class CpuVariant:
    """The loaded code. `variant` is empty where the build has only one.

    `features` are ggml's names of what the code uses: instruction sets, but also "REPACK" or
    "OPENMP".
    """

    variant: str
    features: tuple[str, ...]

    def missing(self, processor: tuple[str, ...]) -> tuple[str, ...]:
        """Return the instruction sets it uses that `processor` does not list."""
        needed = [_NEEDED[name] for name in self.features if name in _NEEDED]
        return tuple(name for name in needed if name not in processor)

    @property
    def converts_f16_slowly(self) -> bool:
        """Whether it is x86 code that looks f16 numbers up in a table, one by one."""
        return "SSE3" in self.features and "F16C" not in self.features


def loaded_cpu_variant(functions: ExportedFunctions, variant: str) -> CpuVariant:
    """Return the variant of the loaded library. Raises OSError where this processor lacks
    something.

    A variant needs no check: ggml asks the processor before it chooses one. Only Linux lists all
    instruction sets of a processor; elsewhere nothing is checked.
    """
    system_info = functions.llama_print_system_info
    system_info.restype, system_info.argtypes = ctypes.c_char_p, []
    loaded = CpuVariant(
        variant, tuple(_FEATURE.findall((system_info() or b"").decode("ascii", "replace")))
    )
    features = cpu().features if sys.platform == "linux" else ()
    if features and not variant and (missing := loaded.missing(features)):
        raise OSError(f"it was built for a newer processor: this one lacks {', '.join(missing)}")
    return loaded


def variant_in_log_line(line: str) -> str:
    """Return the variant that a line of ggml's log reports as loaded; empty for other lines."""
    found = _LOADED.search(line)
    return found[1] if found else ""

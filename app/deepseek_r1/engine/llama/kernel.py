"""Which of llama.cpp's code for processors is in use here, and whether this processor can run it.

A build with run-time variants carries that code as libraries of their own, named after the first
processors that could run them ("haswell": AVX2), and loads the best one. Any other build has one,
made for the build machine: moved to an older processor it would end at its first instruction
unknown there, without a word. That is checked before anything is computed.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from typing import Any

from deepseek_r1.hardware import cpu

# The line that ggml writes when it has loaded a variant: the only place that names the file.
_LOADED = re.compile(r"loaded CPU backend from .*ggml-cpu-([a-z0-9_.+-]+?)\.(?:so|dll|dylib)")
_FEATURE = re.compile(r"([A-Z][A-Z0-9_]*) = 1")

# ggml's names of the instruction sets and those of Linux, which `hardware` uses everywhere.
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
class Kernel:
    """The code in use. `variant` is empty where the build has only one.

    `features` are what it uses, in ggml's words: instruction sets, but also "REPACK" or "OPENMP".
    """

    variant: str
    features: tuple[str, ...]

    def missing(self, processor: tuple[str, ...]) -> tuple[str, ...]:
        """Instruction sets it uses that are not among those of the `processor`."""
        needed = [_NEEDED[name] for name in self.features if name in _NEEDED]
        return tuple(name for name in needed if name not in processor)


def kernel_in_use(api: Any, variant: str) -> Kernel:
    """What the loaded library says of itself. Raises OSError where this processor lacks something.

    A variant needs no check: ggml asks the processor before it chooses one. Only Linux lists all
    instruction sets of a processor; elsewhere nothing can be said.
    """
    say = api._lib.llama_print_system_info
    say.restype, say.argtypes = ctypes.c_char_p, []
    kernel = Kernel(variant, tuple(_FEATURE.findall((say() or b"").decode("ascii", "replace"))))
    features = cpu().features if sys.platform == "linux" else ()
    if features and not variant and (missing := kernel.missing(features)):
        raise OSError(f"it was built for a newer processor: this one lacks {', '.join(missing)}")
    return kernel


def variant_named(line: str) -> str:
    """The variant that a line of ggml's log says was loaded; empty for any other line."""
    found = _LOADED.search(line)
    return found[1] if found else ""

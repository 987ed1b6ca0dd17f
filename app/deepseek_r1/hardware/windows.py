"""Describes the processor on Windows.

Counts come from psutil, the name from the environment, the instruction sets from kernel32's
IsProcessorFeaturePresent. All cores count as fast ones: the efficiency class of hybrid processors
is not read.
"""

from __future__ import annotations

import os
import sys

import psutil

from deepseek_r1.hardware.processor import CoreCounts

# PF_..._INSTRUCTIONS_AVAILABLE of winnt.h, and Linux's name of the feature.
_FEATURES = {36: "ssse3", 37: "sse4_1", 38: "sse4_2", 39: "avx", 40: "avx2", 41: "avx512f"}
_ARM_FEATURES = {43: "asimddp"}


def count_cores() -> CoreCounts:
    """The cores that this process may use, by its affinity."""
    logical = psutil.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    if sys.platform == "win32":
        allowed = len(psutil.Process().cpu_affinity())
        # Affinity counts hardware threads; a core has logical // physical of them.
        physical = max(1, min(physical, allowed * physical // logical))
    return CoreCounts(physical=physical, logical=logical, performance=physical)


def processor_name() -> str:
    """The processor's name, for example "Intel64 Family 6 Model 186 Stepping 2, GenuineIntel"."""
    return os.environ.get("PROCESSOR_IDENTIFIER", "")


def processor_features() -> tuple[str, ...]:
    """The instruction sets, named as on Linux."""
    known = {**_FEATURES, **_ARM_FEATURES}
    return tuple(sorted(name for number, name in known.items() if _present(number)))


if sys.platform == "win32":
    import ctypes

    def _present(number: int) -> bool:
        return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(number))
else:

    def _present(number: int) -> bool:  # noqa: ARG001 - the module stays importable everywhere
        return False

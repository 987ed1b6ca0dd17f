"""Describes the processor on Windows.

Counts come from psutil, the name from the environment, the instruction sets from kernel32's
IsProcessorFeaturePresent. All cores count as fast ones: the efficiency class of hybrid processors
is not read.
"""

import ctypes
import os
import sys

import psutil

# PF_..._INSTRUCTIONS_AVAILABLE of winnt.h, and Linux's name of the feature.
_FEATURES = {
    36: "ssse3", 37: "sse4_1", 38: "sse4_2", 39: "avx", 40: "avx2", 41: "avx512f", 43: "asimddp",
}  # fmt: skip


def count_cores() -> tuple[int, int, int]:
    """Physical, logical and fast cores that this process may use, by its affinity."""
    logical = psutil.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    if sys.platform == "win32":
        allowed = len(psutil.Process().cpu_affinity())
        # Affinity counts hardware threads; a core has logical // physical of them.
        physical = max(1, min(physical, allowed * physical // logical))
    return physical, logical, physical


def processor_name() -> str:
    """The processor's name, for example "Intel64 Family 6 Model 186 Stepping 2, GenuineIntel"."""
    return os.environ.get("PROCESSOR_IDENTIFIER", "")


def processor_features() -> tuple[str, ...]:
    """The instruction sets, named as on Linux."""
    if sys.platform == "win32":
        present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        return tuple(sorted(name for number, name in _FEATURES.items() if present(number)))
    return ()

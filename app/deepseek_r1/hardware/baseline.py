"""Checks that the processor has the instructions that the application needs.

llama.cpp supports older processors, but PyPI's builds of Qt and numpy use SSE4.2 without checking:
the program would end at its first such instruction, without a message.
"""

from __future__ import annotations

import platform
import sys

from deepseek_r1.core.errors import ProcessorTooOld
from deepseek_r1.hardware import linux, windows

NEEDED = "sse4_2"
_X86 = {"x86_64", "amd64"}


def require_usable_processor() -> None:
    """Raise ProcessorTooOld where the processor lacks instructions that the libraries use.

    To be called before Qt or numpy is imported. Every Mac with a supported macOS is new enough.
    """
    if platform.machine().lower() not in _X86:
        return
    if sys.platform == "linux":
        features = linux.read_cpuinfo().features
    elif sys.platform == "win32":
        features = windows.processor_features()
    else:
        return
    if features and NEEDED not in features:
        raise ProcessorTooOld(missing="SSE4.2")

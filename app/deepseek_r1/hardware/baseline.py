"""The least processor that the application runs on.

llama.cpp has code for older ones, but the builds of Qt and numpy that come from PyPI use SSE4.2
without asking: the program would end at its first such instruction, without a word.
"""

from __future__ import annotations

import platform
import sys

from deepseek_r1.core.errors import ProcessorTooOld
from deepseek_r1.hardware import linux, windows

NEEDED = "sse4_2"
_X86 = {"x86_64", "amd64"}


def require_usable_processor() -> None:
    """Raise ProcessorTooOld on one that lacks what everything here is compiled for.

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

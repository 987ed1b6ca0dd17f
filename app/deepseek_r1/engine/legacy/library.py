"""The shared library of ctransformers 0.2.27, opened once.

Only its low-level module is used. Importing it through the package would pull in the client of
Hugging Face; and left to itself it starts processes to find out what the CPU can do, which is
known here already. The calls are made directly: the package's own `tokenize` makes room for one
token a character, where a character may become several.
"""

from __future__ import annotations

import platform
import threading
from importlib import metadata
from typing import Any

from deepseek_r1.core.errors import LegacyEngineUnavailable
from deepseek_r1.engine.low_level import import_low_level
from deepseek_r1.hardware import cpu

PACKAGE = "ctransformers"


class LegacyLibrary:
    """The library's functions, typed, and its version."""

    def __init__(self) -> None:
        """Raises LegacyEngineUnavailable where the library is missing or does not load."""
        try:
            module = import_low_level(PACKAGE, "llm", PACKAGE)
            self.config: Any = module.ConfigStruct
            self.api: Any = module.load_library(_variant())
        except (ImportError, OSError, AttributeError) as error:
            detail = str(error).splitlines()[0]
            machine = f"{platform.system()} {platform.machine()}"
            raise LegacyEngineUnavailable(machine=machine, detail=detail) from error


def version() -> str:
    """The package's version, empty where it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


_opening = threading.Lock()
_opened: LegacyLibrary | None = None


def library() -> LegacyLibrary:
    """The process's one `LegacyLibrary`, opened at the first call."""
    global _opened  # noqa: PLW0603 - a shared library is loaded once a process
    with _opening:
        if _opened is None:
            _opened = LegacyLibrary()
        return _opened


def _variant() -> str:
    """Which of the builds that the package carries suits this processor."""
    features = cpu().features
    if "avx2" in features:
        return "avx2"
    return "avx" if "avx" in features else "basic"

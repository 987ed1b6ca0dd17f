"""The shared library of ctransformers 0.2.27, opened once per process.

Only its low-level module is used. Importing it through the package would pull in the client of
Hugging Face, and by itself it starts processes to detect the CPU's features, which are known here.
The functions are called directly: the package's own `tokenize` allocates one token a character,
where a character may become several.
"""

from __future__ import annotations

import platform
import threading
from functools import cache
from importlib import metadata
from typing import Any

from deepseek_r1.core.errors import LegacyEngineUnavailable
from deepseek_r1.engine.protocol.engine_names import import_low_level
from deepseek_r1.hardware import cpu

PACKAGE = "ctransformers"


class LegacyLibrary:
    """The library's functions, typed."""

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


@cache
def version() -> str:
    """Return the package's version, empty where it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


_library_lock = threading.Lock()
_library: LegacyLibrary | None = None


def library() -> LegacyLibrary:
    """Return the process's one `LegacyLibrary`, opened at the first call."""
    global _library  # noqa: PLW0603 - a shared library is loaded once a process
    with _library_lock:
        if _library is None:
            _library = LegacyLibrary()
        return _library


def _variant() -> str:
    """Return which of the package's builds suits this processor."""
    features = cpu().features
    if "avx2" in features:
        return "avx2"
    return "avx" if "avx" in features else "basic"

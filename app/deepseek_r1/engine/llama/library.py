"""llama.cpp's shared library: opened once, its log kept, its CPU back ends found.

Only the binding's low-level module is used. Importing it through the package would run
`llama_cpp/__init__.py`, which drags in the high-level class, numpy, jinja2 and diskcache: 38 MiB
and 0.31 s instead of 15 MiB and 0.05 s (measured on Linux, Python 3.11). So the package gets a
bare module object with only a search path before its submodule is imported.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.engine.llama.kernel import kernel_in_use, variant_named
from deepseek_r1.engine.llama.waiting import waits_set
from deepseek_r1.engine.low_level import import_low_level

_LEVEL_DEBUG, _LEVEL_WARN, _LEVEL_ERROR, _LEVEL_CONTINUED = 1, 3, 4, 5
_LINES_KEPT = 400
_BUFFER = re.compile(r"(model|KV|RS|compute|output) buffer size\s*=\s*([0-9.]+) MiB")
_FLASH_ATTENTION = "Flash Attention enabled"
_BILL_LINES = {
    "model": "weights",
    "KV": "kv_cache",
    "RS": "kv_cache",  # what recurrent layers have in its place
    "compute": "compute",
    "output": "output",
}


class LibraryLog:
    """What llama.cpp says, the newest lines of it. Written by any of its threads."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=_LINES_KEPT)
        self._skipping = False

    def add(self, level: int, text: bytes) -> None:
        """One call of llama.cpp's log function: a line, or more of the line before."""
        if level != _LEVEL_CONTINUED:
            self._skipping = level <= _LEVEL_DEBUG  # one line a tensor would push all else out
        if self._skipping:
            return
        words = text.decode("utf-8", "replace")
        if level == _LEVEL_CONTINUED and self._lines:
            before, line = self._lines[-1]
            self._lines[-1] = (before, line + words.rstrip("\n"))
            return
        self._lines.append((level, words.rstrip("\n")))
        if level >= _LEVEL_WARN:
            log.engine.debug("llama.cpp: %s", words.rstrip("\n"))

    def clear(self) -> None:
        """Forget everything: the next thing begins."""
        self._lines.clear()

    def last_error(self) -> str:
        """The newest lines that report an error, oldest first; empty when there are none."""
        errors = [line for level, line in self._lines if level == _LEVEL_ERROR and line.strip()]
        return "; ".join(errors[-3:])

    def variant(self) -> str:
        """The CPU code that was loaded from a file of its own; empty when none was."""
        return next(filter(None, (variant_named(line) for _, line in self._lines)), "")

    def flash_attention(self) -> bool:
        """Whether the context made since `clear` has it: a token's values then lie side by side."""
        return any(_FLASH_ATTENTION in line for _, line in list(self._lines))

    def buffers_mib(self) -> dict[str, float]:
        """Sizes of the buffers made since `clear`, by the names of the bill's lines."""
        sizes: dict[str, float] = {}
        for _, line in list(self._lines):
            if found := _BUFFER.search(line):
                name = _BILL_LINES[found[1]]
                sizes[name] = sizes.get(name, 0.0) + float(found[2])
        return sizes


class Library:
    """The binding's module and what belongs to the process as a whole."""

    def __init__(self) -> None:
        """Raises EngineStartFailed where the library is missing or does not load."""
        self.log = LibraryLog()
        try:
            with waits_set():
                self.api: Any = import_low_level("llama_cpp", "llama_cpp", "llama-cpp-python")
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            raise EngineStartFailed(detail=str(error)) from error
        self._log_callback = self.api.llama_log_callback(self._on_log)
        self.api.llama_log_set(self._log_callback, None)
        try:
            with waits_set():
                _load_cpu_back_ends(self.api)
            self.kernel = kernel_in_use(self.api, self.log.variant())
        except OSError as error:
            raise EngineStartFailed(detail=str(error)) from error
        self.api.llama_backend_init()
        self.version: str = _version(self.api)

    @property
    def name(self) -> str:
        """What people call it: "llama.cpp 1.2.3, haswell"."""
        parts = (f"llama.cpp {self.version}".rstrip(), self.kernel.variant)
        return ", ".join(filter(None, parts))

    def _on_log(self, level: int, text: bytes, _user_data: int | None) -> None:
        self.log.add(level, text)


_opening = threading.Lock()
_opened: Library | None = None


def library() -> Library:
    """The process's one `Library`, opened at the first call."""
    global _opened  # noqa: PLW0603 - a shared library is loaded once a process
    with _opening:
        if _opened is None:
            _opened = Library()
        return _opened


def _load_cpu_back_ends(api: Any) -> None:
    """Builds with GGML_BACKEND_DL carry the CPU's code in files of their own and load none.

    They are loaded through the handle of the very libggml that libllama uses: a second copy
    would fill a registry that libllama never looks into.
    """
    folder = Path(api._base_path)
    places = [place for place in (folder, folder.parents[1] / "bin") if _has_back_ends(place)]
    if not places:
        return
    handle = api._lib
    if sys.platform == "win32":  # a handle there answers only for its own file
        handle = ctypes.CDLL(str(folder / "ggml.dll"))
    count = handle.ggml_backend_dev_count
    count.restype, count.argtypes = ctypes.c_size_t, []
    load = handle.ggml_backend_load_all_from_path
    load.restype, load.argtypes = None, [ctypes.c_char_p]
    for place in places:
        if count() == 0:
            load(str(place).encode("utf-8"))
    if count() == 0:
        raise OSError(f"no usable CPU back end in {', '.join(map(str, places))}")


def _has_back_ends(folder: Path) -> bool:
    """True where variants of the CPU back end lie, such as libggml-cpu-haswell.so."""
    return any(folder.glob("*ggml-cpu-*.so")) or any(folder.glob("ggml-cpu-*.dll"))


def _version(api: Any) -> str:
    try:
        native = api._lib.llama_version
    except AttributeError:
        return ""
    native.restype, native.argtypes = ctypes.c_char_p, []
    return (native() or b"").decode("ascii", "replace")

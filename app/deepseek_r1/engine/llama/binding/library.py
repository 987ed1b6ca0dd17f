"""llama.cpp's shared library: opened once per process, with its log and its CPU back ends.

Only the binding's low-level module is used. Importing it through the package would run
`llama_cpp/__init__.py`, which imports the high-level class, numpy, jinja2 and diskcache: 38 MiB and
0.31 s instead of 15 MiB and 0.05 s (measured on Linux, Python 3.11). So the package becomes a bare
module object with only a search path before its submodule is imported.
"""

import ctypes
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.engine.interface import import_low_level
from deepseek_r1.hardware import cpu


class ExportedFunctions:
    """llama.cpp's functions as attributes, with ctypes' default types; the binding lacks some.

    On Linux and macOS a handle of libllama also finds the functions of the libraries that it was
    linked with; Windows searches one file, so each is asked. All of them were loaded by the
    binding; none is loaded a second time.
    """

    def __init__(self, api: Any) -> None:
        names = ("ggml-base.dll", "ggml.dll") if sys.platform == "win32" else ()
        others = (ctypes.CDLL(str(Path(api._base_path) / name)) for name in names)
        self._handles = (api._lib, *others)

    def __getattr__(self, name: str) -> Any:
        """Return the function. Raises AttributeError if no library exports it."""
        found = (getattr(handle, name, None) for handle in self._handles)
        if (function := next(filter(None, found), None)) is None:
            raise AttributeError(name)
        return function


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

    A build with run-time variants has that code in separate libraries, named after the first
    processors that could run them ("haswell": AVX2), and loads the best one. Any other build has
    one, made for the build machine: an older processor would crash at an unknown instruction.

    `features` are ggml's names of what the code uses: instruction sets, but also "REPACK" or
    "OPENMP".
    """

    variant: str
    features: tuple[str, ...]

    def missing(self, processor: tuple[str, ...]) -> tuple[str, ...]:
        needed = [_NEEDED[name] for name in self.features if name in _NEEDED]
        return tuple(name for name in needed if name not in processor)

    @property
    def converts_f16_slowly(self) -> bool:
        """Whether it is x86 code that looks f16 numbers up in a table, one by one."""
        return "SSE3" in self.features and "F16C" not in self.features


def loaded_cpu_variant(system_info: str, variant: str) -> CpuVariant:
    """Return the loaded variant, by what llama.cpp prints. Raises OSError for an older processor.

    A variant needs no check: ggml asks the processor before it chooses one. Only Linux lists all
    instruction sets of a processor; elsewhere nothing is checked.
    """
    loaded = CpuVariant(variant, tuple(_FEATURE.findall(system_info)))
    features = cpu().features if sys.platform == "linux" else ()
    if features and not variant and (missing := loaded.missing(features)):
        raise OSError(f"it was built for a newer processor: this one lacks {', '.join(missing)}")
    return loaded


# How often an OpenMP thread spins before it sleeps, in turns of libgomp's waiting loop. Measured
# with two threads on two cores, the best of two or three runs, tokens/s.
# "busy" is beside one program that never rests, on a busy machine: only the order counts.
#
#                     135M idle  1.5B idle  135M busy
#     unset                 186       40.2          7
#     spin 1000             183       40.1         21
#     spin 300              182       36.6         50
#     passive                71       27.3         42
#
# libgomp's default, milliseconds of spinning, collapses as soon as another program needs a core.
# "passive" makes a system call at every operation of the graph. 1000 costs an idle machine 2 %.
SPIN_COUNT = "1000"


def wait_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables to add to `environment`; none where it sets a wait policy already."""
    if "OMP_WAIT_POLICY" in environment or "GOMP_SPINCOUNT" in environment:
        return {}
    return {"GOMP_SPINCOUNT": SPIN_COUNT}


@contextmanager
def wait_policy_set() -> Iterator[None]:
    """Add the variables to this process's environment during the block.

    OpenMP reads it once, when its library is loaded. The host starts the engine's process with the
    right environment; a program that uses `CPUInference` itself gets it here.
    """
    added = wait_policy(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


_LEVEL_DEBUG, _LEVEL_WARN, _LEVEL_ERROR, _LEVEL_CONTINUED = 1, 3, 4, 5
_LINES_KEPT = 400
_BUFFER = re.compile(r"(model|KV|compute|output) buffer size\s*=\s*([0-9.]+) MiB")
_FLASH_ATTENTION = "Flash Attention enabled"
_BILL_LINES = {
    "model": "weights",
    "KV": "kv_cache",
    "compute": "compute",
    "output": "output",
}


class LibraryLog:
    """The newest lines of llama.cpp's log. Any of its threads writes them."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=_LINES_KEPT)
        self._skipping = False

    def add(self, level: int, text: bytes) -> None:
        """Handle one call of llama.cpp's log function: a line, or more of the line before."""
        if level != _LEVEL_CONTINUED:
            # The debug log has a line for each tensor, which would push out everything else.
            self._skipping = level <= _LEVEL_DEBUG
        if self._skipping:
            return
        line_text = text.decode("utf-8", "replace")
        if level == _LEVEL_CONTINUED and self._lines:
            before, line = self._lines[-1]
            self._lines[-1] = (before, line + line_text.rstrip("\n"))
            return
        self._lines.append((level, line_text.rstrip("\n")))
        if level >= _LEVEL_WARN:
            log.engine.debug("llama.cpp: %s", line_text.rstrip("\n"))

    def clear(self) -> None:
        self._lines.clear()

    def last_error(self) -> str:
        """Return the newest error lines, oldest first; empty when there are none."""
        errors = [line for level, line in self._lines if level == _LEVEL_ERROR and line.strip()]
        return "; ".join(errors[-3:])

    def variant(self) -> str:
        """Return the CPU variant that was loaded from a separate file; empty for none."""
        found = (_LOADED.search(line) for _, line in self._lines)
        return next((each[1] for each in found if each is not None), "")

    def flash_attention(self) -> bool:
        """Return whether the context created since `clear` uses flash attention.

        The values of a token are contiguous then.
        """
        return any(_FLASH_ATTENTION in line for _, line in list(self._lines))

    def buffers_mib(self) -> dict[str, float]:
        """Return the sizes of buffers created since `clear`, by the names of the bill's lines."""
        sizes: dict[str, float] = {}
        for _, line in list(self._lines):
            if found := _BUFFER.search(line):
                name = _BILL_LINES[found[1]]
                sizes[name] = sizes.get(name, 0.0) + float(found[2])
        return sizes


class Library:
    """The binding's module and its state that belongs to the process as a whole."""

    def __init__(self) -> None:
        self.log = LibraryLog()
        try:
            with wait_policy_set():
                self.api: Any = import_low_level("llama_cpp", "llama_cpp", "llama-cpp-python")
            self.functions = ExportedFunctions(self.api)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            raise EngineStartFailed(detail=str(error)) from error
        self._log_callback = self.api.llama_log_callback(self._on_log)
        self.api.llama_log_set(self._log_callback, None)
        try:
            with wait_policy_set():
                _load_cpu_back_ends(Path(self.api._base_path), self.functions)
            printed = self.api.llama_print_system_info() or b""
            self._system_info = printed.decode("ascii", "replace")
            self.cpu_variant = loaded_cpu_variant(self._system_info, self.log.variant())
        except OSError as error:
            raise EngineStartFailed(detail=str(error)) from error
        self.api.llama_backend_init()
        self.version: str = _version(self.functions)

    @property
    def name(self) -> str:
        """The display name: "llama.cpp 1.2.3, haswell"."""
        parts = (f"llama.cpp {self.version}".rstrip(), self.cpu_variant.variant)
        return ", ".join(filter(None, parts))

    @property
    def build(self) -> str:
        """Which instructions it was compiled for, and the size of its file."""
        return f"{self._system_info} {Path(self.api._lib._name).stat().st_size}"

    def _on_log(self, level: int, text: bytes, _user_data: int | None) -> None:
        self.log.add(level, text)


_library_lock = threading.Lock()
_library: Library | None = None


def library() -> Library:
    """Return the process's one `Library`, opened at the first call."""
    global _library  # noqa: PLW0603 - a shared library is loaded once a process
    with _library_lock:
        if _library is None:
            _library = Library()
        return _library


def _load_cpu_back_ends(folder: Path, functions: ExportedFunctions) -> None:
    """Load the CPU back ends of a build with GGML_BACKEND_DL, which loads none by itself.

    They are loaded by the very libggml that libllama uses: a second copy would register them where
    libllama never looks.
    """
    folders = [folder for folder in (folder, folder.parents[1] / "bin") if _has_back_ends(folder)]
    if not folders:
        return
    count = functions.ggml_backend_dev_count
    count.restype, count.argtypes = ctypes.c_size_t, []
    load = functions.ggml_backend_load_all_from_path
    load.restype, load.argtypes = None, [ctypes.c_char_p]
    for place in folders:
        if count() == 0:
            load(str(place).encode("utf-8"))
    if count() == 0:
        raise OSError(f"there is no usable CPU back end in {', '.join(map(str, folders))}")


def _has_back_ends(folder: Path) -> bool:
    """Return whether the folder has CPU back ends, such as libggml-cpu-haswell.so."""
    return any(folder.glob("*ggml-cpu-*.so")) or any(folder.glob("ggml-cpu-*.dll"))


def _version(functions: ExportedFunctions) -> str:
    try:
        native = functions.llama_version
    except AttributeError:
        return ""
    native.restype, native.argtypes = ctypes.c_char_p, []
    return (native() or b"").decode("ascii", "replace")

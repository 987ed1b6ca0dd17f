"""Each function of llama.cpp is taken from the shared library that exports it.

On Linux a wrong library would still do, because a handle there finds the functions of all libraries
that it was linked with. So the tables of exported names are read from the files themselves.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.exported_functions import EXPORTED_BY
from deepseek_r1.engine.llama.binding.library import library

pytestmark = pytest.mark.integration

LIBRARIES = {"win32": "{}.dll", "darwin": "lib{}.dylib"}


def exported_names(name: str) -> set[str]:
    """Those of the listed functions that a library exports itself."""
    binding = library().api
    file = Path(binding._base_path) / LIBRARIES.get(sys.platform, "lib{}.so").format(name)
    if name == "llama":  # which other compilers than Microsoft's name libllama.dll
        file = Path(binding._lib._name)
    if sys.platform == "win32":  # which searches one file only
        handle = ctypes.CDLL(str(file))
        return {function for function in EXPORTED_BY if hasattr(handle, function)}
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    table = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    lines = subprocess.run([nm, *table, str(file)], capture_output=True, text=True, check=True)
    prefix = "_" if sys.platform == "darwin" else ""
    found = {line.split()[-1].removeprefix(prefix) for line in lines.stdout.splitlines() if line}
    return found & EXPORTED_BY.keys()


@pytest.mark.parametrize("name", sorted(set(EXPORTED_BY.values())))
def test_a_library_exports_exactly_the_functions_that_are_listed_for_it(name: str) -> None:
    listed = {function for function, exporter in EXPORTED_BY.items() if exporter == name}
    assert exported_names(name) == listed


@pytest.mark.parametrize("name", sorted(EXPORTED_BY))
def test_each_listed_function_is_found(name: str) -> None:
    assert ctypes.cast(getattr(library().functions, name), ctypes.c_void_p).value


def test_a_function_without_a_listed_library_is_refused_on_every_system() -> None:
    assert library().api._lib.llama_backend_init  # exported, but not listed
    with pytest.raises(AttributeError, match="llama_backend_init"):
        _ = library().functions.llama_backend_init

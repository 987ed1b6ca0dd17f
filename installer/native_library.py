#!/usr/bin/env python3
"""Compile app/deepseek_r1/native into the library that Python loads beside its sources.

    python installer/native_library.py      # needs setuptools, which finds the compiler

Plain C++ without Python's headers: one library suits every version of Python.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from setuptools._distutils.ccompiler import new_compiler
from setuptools._distutils.sysconfig import customize_compiler

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "app" / "deepseek_r1" / "native"
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = FOLDER / f"streaming{SUFFIX}"


def build() -> Path:
    """Compile the library and return its path. Raises setuptools' CompileError or LinkError."""
    compiler = new_compiler()
    customize_compiler(compiler)
    windows = compiler.compiler_type == "msvc"
    options = (
        ["/std:c++17", "/EHsc", "/O2"] if windows else ["-std=c++17", "-O3", "-g0", "-pthread"]
    )
    options += [] if windows else ["-fPIC", "-fvisibility=hidden"]
    with tempfile.TemporaryDirectory() as folder:
        sources = [str(file.relative_to(ROOT)) for file in sorted(FOLDER.glob("*.cpp"))]
        with contextlib.chdir(ROOT):
            objects = compiler.compile(sources, output_dir=folder, extra_preargs=options)
        made = Path(folder) / LIBRARY.name
        compiler.link_shared_object(
            objects,
            str(made),
            extra_postargs=[] if windows else ["-pthread"],
            target_lang="c++",
        )
        # Replaced in one step: a process that has loaded the old library keeps it.
        beside = LIBRARY.with_suffix(".new")
        beside.write_bytes(made.read_bytes())
        beside.replace(LIBRARY)
    return LIBRARY


if __name__ == "__main__":
    print(build())

#!/usr/bin/env python3
"""Compile app/deepseek_r1/native, for this machine or for others. Prints the path of each library.

    python installer/native_library.py                     # beside its sources
    python installer/native_library.py --target all        # below build/native, for every target
    python installer/native_library.py --target windows-x86_64 macos-arm64

For this machine by the compiler that compiles llama.cpp, where there is one. For others, for wheels
and without a compiler, by the package `ziglang`: clang with the C++ library of every system.

llama.cpp throws exceptions through this library. They are caught where both unwind the stack by the
same code: GCC has it in a library of the system, clang in each library of its own. A library of a
wheel for Linux takes the system's, as GCC will compile the llama.cpp beside it.

Plain C++ without Python's headers: one library suits every version of Python.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "app" / "deepseek_r1" / "native"
UNSUPPORTED = 3  # the exit status
OPTIONS = ("-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-shared", "-s")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# What clang's C++ library calls of the system's libgcc_s.
_UNWIND = ("Backtrace", "DeleteException", "GetIP", "GetLanguageSpecificData", "GetRegionStart",
           "RaiseException", "Resume", "Resume_or_Rethrow", "SetGR", "SetIP")  # fmt: skip
_SYSTEMS = {"win32": "windows", "darwin": "macos"}
_PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Target:
    """A system as clang names it and as wheels do, its oldest processor, and how libraries end."""

    triple: str
    processor: str
    suffix: str
    wheels: str


# Kernels for newer processors are chosen when the program runs.
TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.28", "x86_64", ".so", "manylinux_2_28_x86_64"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.28", "generic", ".so", "manylinux_2_28_aarch64"),
    "macos-arm64": Target("aarch64-macos.12.0", "apple_m1", ".dylib", "macosx_12_0_arm64"),
    "macos-x86_64": Target("x86_64-macos.12.0", "x86_64", ".dylib", "macosx_12_0_x86_64"),
    "windows-x86_64": Target("x86_64-windows-gnu", "x86_64", ".dll", "win_amd64"),
    "windows-aarch64": Target("aarch64-windows-gnu", "generic", ".dll", "win_arm64"),
}


class UnsupportedMachineError(Exception):
    """There is no target for this machine."""


def own_target() -> str:
    """Returns the name of this machine's target. Raises UnsupportedMachineError."""
    machine = platform.machine()
    processor = _PROCESSORS.get(machine.lower(), machine.lower())
    system = _SYSTEMS.get(sys.platform, sys.platform)
    for name, target in TARGETS.items():
        if name.startswith(f"{system}-") and target.triple.startswith(f"{processor}-"):
            return name
    raise UnsupportedMachineError(
        f"R1 Desk is not made for {machine} with {sys.platform}, but for: {', '.join(TARGETS)}."
    )


def library(target: str) -> Path:
    """Returns the path of the library that Python loads where it runs on this target."""
    return FOLDER / f"streaming{TARGETS[target].suffix}"


def zig_of(packages: Path) -> Path:
    """Returns the compiler in a folder of packages."""
    return packages / "ziglang" / ("zig.exe" if sys.platform == "win32" else "zig")


def own_zig() -> Path:
    """Returns this interpreter's compiler. Raises ModuleNotFoundError."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("The package ziglang is not installed.", name="ziglang")
    return zig_of(Path(found.origin).parents[1])


def system_compiler() -> list[str]:
    """Returns the start of the system compiler's command; empty where there is none."""
    if sys.platform == "win32":
        return []
    names = shlex.split(os.environ.get("CXX", "")), ["c++"], ["g++"], ["clang++"]
    return next((name for name in names if name and shutil.which(name[0])), [])


def build_here() -> Path:
    """Compile this machine's library beside its sources and return its path.

    Raises CalledProcessError, UnsupportedMachineError, ModuleNotFoundError.
    """
    target = own_target()
    if compiler := system_compiler():
        return _compiled(library(target), [*compiler, *OPTIONS, "-fPIC", "-pthread"])
    return build(target, library(target), own_zig())


def build_for_wheel(target: str) -> Path:
    """Compile the library for a wheel below build/native and return its path.

    Raises CalledProcessError, ModuleNotFoundError.
    """
    place = ROOT / "build" / "native" / TARGETS[target].wheels / library(target).name
    return build(target, place, own_zig(), beside_gcc=True)


def build(target: str, made: Path, zig: Path, *, beside_gcc: bool = False) -> Path:
    """Compile the library for a target by clang and return its path.

    Where GCC compiles llama.cpp, `beside_gcc` catches its exceptions on Linux. Raises
    CalledProcessError after the compiler's messages.
    """
    chosen = TARGETS[target]
    options = [*OPTIONS, *WARNINGS, "-target", chosen.triple, f"-mcpu={chosen.processor}"]
    options += [] if chosen.suffix == ".dll" else ["-fPIC", "-pthread"]
    if chosen.suffix == ".dylib":  # else it is named after the folder that it was made in
        options.append(f"-Wl,-install_name,@rpath/{made.name}")
    with tempfile.TemporaryDirectory() as folder:
        if beside_gcc and chosen.suffix == ".so":
            options.append(str(_system_unwinder(Path(folder), zig, chosen.triple)))
        return _compiled(made, [str(zig), "c++", *options])


def _system_unwinder(folder: Path, zig: Path, triple: str) -> Path:
    """Make a library that stands for libgcc_s while another is linked. Returns its path."""
    made, source, versions = (folder / name for name in ("libgcc_s.so.1", "unwind.c", "versions"))
    functions = "".join(f"void _Unwind_{name}(void) {{}}\n" for name in _UNWIND)
    source.write_text(functions, encoding="ascii")
    versions.write_text("GCC_3.0 { _Unwind_*; };\n", encoding="ascii")
    command = [str(zig), "cc", "-target", triple, "-shared", "-nostdlib"]
    command += [f"-Wl,-soname,{made.name}", f"-Wl,--version-script={versions}"]
    subprocess.run([*command, "-o", str(made), str(source)], check=True)
    return made


def _compiled(made: Path, compiler: list[str]) -> Path:
    made.parent.mkdir(parents=True, exist_ok=True)
    sources = [file.name for file in sorted(FOLDER.glob("*.cpp"))]
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        new = Path(folder) / made.name
        subprocess.run([*compiler, "-o", str(new), *sources], cwd=FOLDER, check=True)
        # Replaced in one step: a process that has loaded the old library keeps it.
        new.replace(made)
    return made


def main() -> int:
    """Compile what the arguments name. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    names = ("all", *TARGETS)
    parser.add_argument("--target", nargs="+", choices=names, default=[], metavar="NAME",
                        help=f"of {', '.join(names)}")  # fmt: skip
    asked = parser.parse_args().target
    try:
        if not asked:
            print(build_here())
        for name in TARGETS if "all" in asked else asked:
            place = ROOT / "build" / "native" / name / library(name).name
            print(build(name, place, own_zig()), flush=True)
    except (UnsupportedMachineError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return UNSUPPORTED
    except subprocess.CalledProcessError as error:
        print(f"The compiler stopped with status {error.returncode}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""From a fresh checkout to a running window or a test run, on Linux, macOS and Windows.

    python3 installer/from_source.py run     # build what is missing, open the window
    python3 installer/from_source.py test    # the same, then every check and test

Needs Python 3.11 to 3.13 and a C/C++ compiler; everything else comes from PyPI in the versions of
`uv.lock`, into `.venv` here. The first time takes about five minutes: llama.cpp is compiled for
this machine's processor. Uses nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_VERSION = "0.13.9"
PYTHONS = ((3, 11), (3, 13))  # first and last minor version that works
WINDOWS = os.name == "nt"
BIN = "Scripts" if WINDOWS else "bin"
NATIVE = ROOT / "app" / "deepseek_r1" / "native"

# What Qt opens at start, and the Debian package that holds it. Every Linux desktop has them.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}
XCB_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
}

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
    ["lint-imports"],
    ["pytest"],
)


def main() -> int:
    """Do what the one argument says; return the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] not in (["run"], ["test"], ["setup"]):
        print(__doc__)
        return 2
    command, rest = arguments[0], arguments[1:]
    python = usable_python()
    if python is None or not compiler_found() or not qt_libraries_found():
        return 1
    if not install(python, with_tests=command != "run"):
        return 1
    if command == "run":
        return subprocess.run([tool("r1desk"), *rest], cwd=ROOT, check=False).returncode
    return run_checks(rest) if command == "test" else 0


def usable_python() -> str | None:
    """An interpreter of a version that works: this one, or another on the path."""
    first, last = PYTHONS
    if first <= sys.version_info[:2] <= last:
        return sys.executable
    for minor in range(last[1], first[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other:
            return other
    return complain(
        f"Python {sys.version_info.major}.{sys.version_info.minor} runs this script; the"
        f" application needs 3.{first[1]} to 3.{last[1]}.",
        "Install one of them (https://www.python.org/downloads/) and start again with it.",
    )


def compiler_found() -> bool:
    """True where llama.cpp can be compiled or already is."""
    if WINDOWS or (ROOT / ".venv").is_dir():  # CMake finds Visual Studio by itself
        return True
    if any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        return True
    complain(
        "No C++ compiler was found; llama.cpp has to be compiled.",
        "Debian, Ubuntu: sudo apt install g++ make    macOS: xcode-select --install",
    )
    return False


def qt_libraries_found() -> bool:
    """True where Qt's own needs are there; says which packages are missing otherwise."""
    if not sys.platform.startswith("linux"):
        return True
    needed = dict(QT_LIBRARIES)
    if os.environ.get("DISPLAY"):
        needed |= XCB_LIBRARIES
    missing = [package for library, package in needed.items() if not loads(library)]
    if missing:
        complain(
            "Some system libraries that the window needs are missing.",
            "Debian, Ubuntu: sudo apt install " + " ".join(missing),
        )
    return not missing


def loads(library: str) -> bool:
    """True when the dynamic linker finds `library`."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install(python: str, *, with_tests: bool) -> bool:
    """Bring `.venv` to the state of the lock file."""
    uv = find_uv(python)
    if uv is None:
        return False
    # The system's certificates: a company's proxy may have its own.
    sync = [uv, "sync", "--frozen", "--system-certs", "--python", python]
    # Without --inexact a `run` after a `test` would take the test tools away again.
    sync += [] if with_tests else ["--no-dev", "--inexact"]
    # uv remembers that it has built the application, not what became of the file.
    sync += [] if any(NATIVE.glob("streaming.*")) else ["--reinstall-package", "r1desk"]
    if not (ROOT / ".venv").is_dir():
        print("Installing. The first time compiles llama.cpp: about five minutes.", flush=True)
    done = subprocess.run(sync, cwd=ROOT, env=own_environment(), check=False).returncode == 0
    if not done:
        complain("The installation stopped; the reason stands above.", "Mend it and start again.")
    return done


def find_uv(python: str) -> str | None:
    """The installer `uv` in the version this project was locked with."""
    place = ROOT / "build" / "uv"
    uv = place / BIN / ("uv.exe" if WINDOWS else "uv")
    if uv.is_file():
        return str(uv)
    if subprocess.run([python, "-m", "venv", str(place)], check=False).returncode != 0:
        shutil.rmtree(place, ignore_errors=True)
        return complain(
            "Python could not make a virtual environment.",
            "Debian, Ubuntu: sudo apt install python3-venv",
        )
    pip = [str(place / BIN / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", f"uv=={UV_VERSION}"]
    if subprocess.run(pip, check=False).returncode != 0:
        return complain("uv could not be installed.", "Check the network connection to PyPI.")
    return str(uv)


def own_environment() -> dict[str, str]:
    """The environment without another project's virtual environment in it."""
    return {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}


def run_checks(pytest_arguments: list[str]) -> int:
    """Run every check even when an earlier one failed; the worst status counts."""
    worst = 0
    for check in CHECKS:
        extra = pytest_arguments if check[0] == "pytest" else []
        print("\n$ " + " ".join([*check, *extra]), flush=True)
        status = subprocess.run([tool(check[0]), *check[1:], *extra], cwd=ROOT, check=False)
        worst = max(worst, abs(status.returncode))
    return worst


def tool(name: str) -> str:
    """A command of the project's own environment."""
    return str(ROOT / ".venv" / BIN / (name + ".exe" if WINDOWS else name))


def complain(what: str, todo: str) -> None:
    """Say what is wrong and what to do."""
    print(f"{what}\n{todo}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes the bundle: a folder with the application and everything it needs, including Python.

    python3 installer/bundle/make.py             # dist/r1desk, for every processor
    python3 installer/bundle/make.py --native    # quick: for this machine's processor only

Runs on the system that the bundle is for. Needs what installer/from_source.py needs and builds in
an environment of its own below build/bundle, with the versions of uv.lock and no test tools. The
first run compiles llama.cpp fourteen times over (see native.py) and keeps the result. A bundle for
Linux runs where the C library is at least as new as the build machine's: releases are built on the
oldest system that is supported.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer"))
import from_source  # noqa: E402 - beside this folder
import native  # noqa: E402
import needs  # noqa: E402
import toolchain  # noqa: E402

BUILT = ROOT / "build" / "bundle"
FOLDER = ROOT / "dist" / "r1desk"
MIB = 1024 * 1024


def main() -> int:
    """Make the bundle. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--native", action="store_true", help="for this machine's processor only")
    native_only: bool = parser.parse_args().native
    python = from_source.usable_python()
    uv = None if python is None else toolchain.find_uv()
    if python is None or uv is None or not toolchain.compiler_found(python):
        return 1
    environment = toolchain.own_environment()
    try:
        freeze(prepare(uv, python, environment, native_only=native_only))
    except subprocess.CalledProcessError as stopped:
        print(f"Stopped: {stopped}. The reason stands above.", file=sys.stderr)
        return 1
    return report()


def prepare(uv: str, python: str, environment: dict[str, str], *, native_only: bool) -> str:
    """Make the build environment with the requested llama.cpp. Returns its interpreter.

    Raises CalledProcessError.
    """
    # Both kinds of llama.cpp have one version: in a common environment the wrong one would stay.
    venv = BUILT / ("venv-native" if native_only else "venv")
    suffix = ".exe" if toolchain.WINDOWS else ""
    interpreter = venv / toolchain.BIN / f"python{suffix}"
    environment |= {"UV_PROJECT_ENVIRONMENT": str(venv)}
    sync = [
        *toolchain.sync_command(uv, python),
        "--no-dev",
        "--group",
        "bundle",
        "--no-install-project",
    ]
    sync += [f"--extra={extra}" for extra in from_source.EXTRAS]
    if not native_only:
        sync += ["--no-install-package", native.PACKAGE, "--inexact"]
    subprocess.run(sync, cwd=ROOT, env=environment, check=True)
    if not native_only:
        pip = toolchain.pip_command(uv, python)
        wheel = native.wheel_with_variants(BUILT / "wheels", ROOT / "uv.lock", pip, environment)
        install = [uv, "pip", "install", "--python", str(interpreter), "--no-deps", "--reinstall"]
        subprocess.run([*install, str(wheel)], env=environment, check=True)
    return str(interpreter)


def freeze(interpreter: str) -> None:
    """Build the native library, icons, frozen program and licences. Raises CalledProcessError."""
    here = ROOT / "installer" / "bundle"
    subprocess.run([interpreter, str(ROOT / "installer" / "native_library.py")], check=True)
    subprocess.run([interpreter, str(here / "icons.py"), str(BUILT / "icons")], check=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [interpreter, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    command += ["--distpath", str(ROOT / "dist"), "--workpath", str(BUILT / "work")]
    # One fixed seed for the order of sets: the same input gives the same archive.
    subprocess.run(
        [*command, str(ROOT / "build.spec")],
        cwd=ROOT,
        env=toolchain.own_environment() | {"PYTHONHASHSEED": "1"},
        check=True,
    )
    drop_debug_symbols()
    licences = [interpreter, str(here / "licences.py"), str(licence_folder()), str(bundle())]
    subprocess.run(licences, check=True)


def drop_debug_symbols() -> None:
    """Strip Python's own libraries, which have 20 MB of debug symbols in some builds.

    Only Python's: wheels are stripped already, and stripping breaks some of their libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    inside = FOLDER / "_internal"
    own = [*inside.glob("libpython*"), *inside.glob("python*/lib-dynload/*.so")]
    subprocess.run(["strip", "--strip-debug", *map(str, own)], check=True)


def bundle() -> Path:
    """Returns the path of the result: a folder, or on macOS an application."""
    return ROOT / "dist" / "R1 Desk.app" if sys.platform == "darwin" else FOLDER


def licence_folder() -> Path:
    """Returns the folder of the licences in it."""
    if sys.platform == "darwin":
        return bundle() / "Contents" / "Resources" / "licences"
    return bundle() / "licences"


def report() -> int:
    """Print the size and the number of files. Returns 1 if an uncommon library is needed."""
    files = [file for file in bundle().rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files)
    print(f"{bundle().relative_to(ROOT)}: {size / MIB:.0f} MiB in {len(files)} files")
    largest = sorted(files, key=lambda file: -file.stat().st_size)[:8]
    for file in largest:
        print(f"  {file.stat().st_size / MIB:6.1f} MiB  {file.relative_to(bundle()).as_posix()}")
    if not sys.platform.startswith("linux"):
        return 0
    lacking = needs.lacking(bundle())
    for library, user in sorted(lacking.items()):
        print(f"{library} is needed by {user} and comes neither with us nor with every desktop")
    return 1 if lacking else 0


if __name__ == "__main__":
    os.umask(0o022)  # the folder is for everyone, whatever this shell's habit
    sys.exit(main())

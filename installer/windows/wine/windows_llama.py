"""llama.cpp and the native library for Windows, compiled on Linux by the clang of Windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from build_cache import ROOT, cached

sys.path[:0] = [str(ROOT / "installer"), str(ROOT / "installer" / "bundle")]
import from_source  # noqa: E402 - below this folder
import native  # noqa: E402
import toolchain  # noqa: E402

import native_library as own  # noqa: E402

PACKAGE = native.PACKAGE
TARGET = "windows-x86_64"
# As from_source.py compiles it: for this processor, which runs Wine.
HERE_ALONE = {"GGML_NATIVE": "ON", "LLAVA_BUILD": "OFF"}


@cache
def zig() -> Path:
    """Returns the compiler, which is fetched if it is missing. Raises SystemExit."""
    folder = toolchain.find_compiler(from_source.usable_python() or sys.executable)
    if folder is None:
        raise SystemExit(1)
    return toolchain.zig_in(folder)


def libraries(*, all_processors: bool) -> Path:
    """Returns a folder for site-packages with the binding and llama.cpp's libraries.

    They are for this processor, or for `all_processors` as a release. Raises CalledProcessError.
    """
    source = native.locked_source(ROOT / "uv.lock")
    options = native.OPTIONS if all_processors else HERE_ALONE
    installer = toolchain.TOOLCHAIN_FILE.parent
    made_of = [source.sha256, *sorted(installer.glob("*.cmake")), *sorted(installer.glob("*.h"))]
    made_of += [repr(options), "" if all_processors else features()]
    environment = os.environ | {
        "CMAKE_TOOLCHAIN_FILE": str(toolchain.TOOLCHAIN_FILE),
        "CMAKE_GENERATOR": "Ninja",
        "R1DESK_ZIG": str(zig()),
        "R1DESK_FOR_WINDOWS": "1",
    }

    def make(place: Path) -> None:
        # uv would take what it compiled for this system from its cache. And it makes a list of the
        # same option in pyproject.toml and here, which CMake takes for ON.
        install = [str(toolchain.find_uv()), "pip", "install", "--no-cache", "--no-config"]
        install += ["--quiet", "--no-deps", "--system-certs", "--python", sys.executable]
        install += ["--target", str(place)]
        install += [
            f"--config-setting=cmake.define.{key}={value}" for key, value in options.items()
        ]
        install.append(f"{PACKAGE} @ {source.url}#sha256={source.sha256}")
        subprocess.run(install, env=environment, check=True)

    return cached("llama", made_of, make)


def features() -> str:
    """Returns the line of this processor's features."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("flags"))


def native_library() -> Path:
    """Put streaming.dll beside its sources, compiled if they have changed. Returns its path."""
    beside = own.library(TARGET)

    def compile_in(place: Path) -> None:
        own.build(TARGET, place / beside.name, zig())

    sources = sorted(own.FOLDER.glob("*.?pp"))
    made = cached("native", [*sources, Path(own.__file__)], compile_in) / beside.name
    if not beside.is_file() or beside.read_bytes() != made.read_bytes():
        shutil.copy(made, beside)
    return beside

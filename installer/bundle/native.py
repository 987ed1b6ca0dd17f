"""Builds a wheel of llama-cpp-python with llama.cpp's code for every processor, once per version.

The ordinary build suits the machine it is made on. This one carries the CPU code as libraries of
their own, from plain x86-64 up to AVX-512, of which the best usable one is loaded at start. It
takes about a quarter of an hour on two cores, so the wheel is kept and used again as long as the
lock file names the same source.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import toolchain

PACKAGE = "llama-cpp-python"

# Variants are separate libraries (BACKEND_DL) for all processors (ALL_VARIANTS), none of them for
# this machine's own (NATIVE). The vision library is never called.
OPTIONS = {
    "GGML_NATIVE": "OFF",
    "GGML_BACKEND_DL": "ON",
    "GGML_CPU_ALL_VARIANTS": "ON",
    "LLAVA_BUILD": "OFF",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The source package in the lock file."""

    version: str
    url: str
    sha256: str


def locked_source(lock: Path) -> Source:
    """Returns the source in `uv.lock`. Raises ValueError if it has no such package."""
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        if package["name"] == PACKAGE:
            sdist = package["sdist"]
            return Source(package["version"], sdist["url"], sdist["hash"].removeprefix("sha256:"))
    raise ValueError(f"{lock} does not name {PACKAGE}")


def kept_place(folder: Path, source: Source) -> Path:
    """Returns the path of the wheel of this source and these options. It suits every Python."""
    asked = [source.sha256, *(f"{key}={value}" for key, value in sorted(OPTIONS.items()))]
    asked += [sys.platform, os.environ.get("CMAKE_ARGS", "")]
    for file in (toolchain.TILE_CONFIG, toolchain.TOOLCHAIN_FILE):
        asked.append(file.read_text(encoding="utf-8"))
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:12]
    return folder / f"{source.version}-{digest}"


def wheel_with_variants(
    folder: Path, lock: Path, pip: list[str], environment: dict[str, str]
) -> Path:
    """Returns the wheel below `folder`, compiled by the command `pip` if it is missing.

    Raises CalledProcessError if the compilation fails, after its output.
    """
    source = locked_source(lock)
    place = kept_place(folder, source)
    if made := sorted(place.glob("*.whl")):
        return made[0]
    place.mkdir(parents=True, exist_ok=True)
    print("Compiling llama.cpp for all processors: about 15 minutes on two cores.", flush=True)
    # pip would take a wheel from its cache without asking with which options it was made.
    command = [*pip, "wheel", "--no-deps", "--no-cache-dir"]
    command += ["--wheel-dir", str(place), f"{PACKAGE} @ {source.url}#sha256={source.sha256}"]
    # The options apply to packages on the command line, not to a requirements file.
    command += [f"--config-settings=cmake.define.{key}={value}" for key, value in OPTIONS.items()]
    subprocess.run(command, check=True, env=environment)
    return sorted(place.glob("*.whl"))[0]

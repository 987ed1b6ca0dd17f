#!/usr/bin/env python3
"""Compile ggml's back end for Vulkan, of the llama.cpp in `uv.lock`, beside our native library.

    python installer/graphics_library.py

Debian: apt install cmake g++ glslc libvulkan-dev spirv-headers.

Nothing else builds it, and nothing needs it: where the file is, prompts can be read by a graphics
processor (`deepseek-r1 doctor --measure-graphics`). It takes ten minutes on two cores and 44 MB.
A bundle that is made afterwards contains it as a file of its own, deepseek_r1/native/ggml-vulkan.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "installer" / "bundle"))

import native  # noqa: E402

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = ROOT / "app" / "deepseek_r1" / "native" / f"ggml-vulkan{SUFFIX}"
OPTIONS = ("GGML_VULKAN=ON", "GGML_BACKEND_DL=ON", "GGML_NATIVE=OFF", "BUILD_SHARED_LIBS=ON",
           "CMAKE_BUILD_TYPE=Release")  # fmt: skip


def build(folder: Path) -> Path:
    """Compile in `folder`; returns the library. Raises CalledProcessError, OSError, ValueError."""
    source = native.locked_source(ROOT / "uv.lock")
    archive = folder / "source.tar.gz"
    urllib.request.urlretrieve(source.url, archive)  # noqa: S310 - of the lock file
    if hashlib.sha256(archive.read_bytes()).hexdigest() != source.sha256:
        raise ValueError(f"{source.url} is not the file of uv.lock")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (llama,) = folder.glob("*/vendor/llama.cpp")
    options = [f"-D{each}" for each in OPTIONS]
    subprocess.run(["cmake", "-S", llama, "-B", folder / "build", *options], check=True)
    jobs = f"-j{os.cpu_count() or 1}"
    command = ["cmake", "--build", folder / "build", "--config", "Release", jobs]
    subprocess.run([*command, "--target", "ggml-vulkan"], check=True)
    (made,) = (folder / "build").rglob(f"*ggml-vulkan{SUFFIX}")
    if sys.platform.startswith("linux"):
        subprocess.run(["strip", made], check=True)
    LIBRARY.write_bytes(made.read_bytes())
    return LIBRARY


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        library = build(Path(temporary))
    print(f"{library}: {library.stat().st_size / 1e6:.0f} MB")

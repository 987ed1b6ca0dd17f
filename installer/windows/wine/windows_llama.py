"""llama.cpp for Windows, compiled on Linux by mingw-w64, and the native library, by clang.

The source is the one in uv.lock, with the options of the release (`bundle/native.py`). OpenMP is
left out: mingw's would be one more library. Compiled files are kept, and further CPU variants are
added to them. For tests only: releases are compiled on Windows by Microsoft's compiler.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from build_cache import BUILT, HERE, ROOT, cached, digest, run

sys.path[:0] = [str(ROOT / "installer"), str(ROOT / "installer" / "bundle")]
import from_source  # noqa: E402 - below this folder
import native  # noqa: E402
import toolchain  # noqa: E402

import native_library as own  # noqa: E402

PACKAGE = native.PACKAGE
ALL = "all"
USUAL = "haswell"
"""The variant that most processors can run: AVX2."""
TARGET = "windows-x86_64"
TRIPLE = "x86_64-w64-mingw32"
RUNTIME = ("libstdc++-6.dll", "libgcc_s_seh-1.dll", "libwinpthread-1.dll")
OPTIONS = native.OPTIONS | {
    "BUILD_SHARED_LIBS": "ON",
    "CMAKE_BUILD_TYPE": "Release",
    "GGML_OPENMP": "OFF",
    **{f"LLAMA_BUILD_{part}": "OFF" for part in ("COMMON", "EXAMPLES", "SERVER", "TESTS", "TOOLS")},
}
FUNCTION = "function(ggml_add_cpu_backend_variant tag_name)"
CHOICE = """
    if (R1_VARIANTS AND NOT tag_name IN_LIST R1_VARIANTS)
        return()
    endif()
"""


def tool(name: str) -> str:
    """Returns the name of a mingw-w64 program on Debian."""
    return f"{TRIPLE}-{name}"


def libraries(variants: str) -> Path:
    """Returns a folder for site-packages with the binding and llama.cpp's libraries.

    `variants` are names of CPU variants with semicolons between them, or "all". Compiling one takes
    about 7 minutes on a core, all fourteen take 45 minutes. Raises CalledProcessError.
    """
    source = native.locked_source(ROOT / "uv.lock")
    made_of = [
        source.sha256,
        HERE / "mingw.cmake",
        repr(sorted(OPTIONS.items())),
        variants,
        "stripped",
    ]

    def make(place: Path) -> None:
        compiled = _compile(source, variants)
        package = place / "llama_cpp"
        shutil.copytree(_unpacked(source) / "llama_cpp", package, dirs_exist_ok=True)
        (package / "lib").mkdir(exist_ok=True)
        for file in compiled.glob("*.dll"):
            variant = file.stem.removeprefix("ggml-cpu-")
            if variant == file.stem or variants == ALL or variant in variants.split(";"):
                shutil.copy(file, package / "lib")
        for name in RUNTIME:
            shutil.copy(_runtime(name), package / "lib")
        # Wine reads a DLL into memory as a whole: the debugging sections of libstdc++ are 20 MiB.
        run(tool("strip"), "--strip-debug", *(package / "lib").glob("*.dll"))
        metadata = place / f"llama_cpp_python-{source.version}.dist-info"
        metadata.mkdir()
        shutil.copy(_unpacked(source) / "PKG-INFO", metadata / "METADATA")
        shutil.copy(_unpacked(source) / "LICENSE.md", metadata / "LICENSE.md")
        listed = "".join(f"{metadata.name}/{name},,\n" for name in ("METADATA", "LICENSE.md"))
        (metadata / "RECORD").write_text(listed, encoding="utf-8")

    return cached("llama", made_of, make)


def native_library() -> Path:
    """Put streaming.dll beside its sources, compiled if they have changed. Returns its path."""
    beside = own.library(TARGET)

    def compile_in(place: Path) -> None:
        folder = toolchain.find_compiler(from_source.usable_python() or sys.executable)
        if folder is None:
            raise SystemExit(1)
        own.build(TARGET, place / beside.name, toolchain.zig_in(folder))

    sources = sorted(own.FOLDER.glob("*.?pp"))
    made = cached("native", [*sources, Path(own.__file__)], compile_in) / beside.name
    if not beside.is_file() or beside.read_bytes() != made.read_bytes():
        shutil.copy(made, beside)
    return beside


def _tree(source: native.Source) -> Path:
    return BUILT / f"llama-make-{digest([source.sha256, HERE / 'mingw.cmake'])}"


def _unpacked(source: native.Source) -> Path:
    """Returns the folder of the unpacked source package, from the URL in the lock file."""
    folder = _tree(source) / f"llama_cpp_python-{source.version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(source.url) as answer:  # noqa: S310 - https, of the lock file
            package = answer.read()
        if hashlib.sha256(package).hexdigest() != source.sha256:
            raise ValueError(f"{source.url} is not the file of the lock file")
        archive = folder.parent / "source.tar.gz"
        archive.write_bytes(package)
        with tarfile.open(archive) as files:
            files.extractall(folder.parent, filter="data")
        _add_variant_option(folder / "vendor" / "llama.cpp" / "ggml" / "src" / "CMakeLists.txt")
    return folder


def _add_variant_option(lists: Path) -> None:
    """Add the option R1_VARIANTS to ggml's CMakeLists.txt. Raises ValueError if it has changed."""
    text = lists.read_text(encoding="utf-8")
    if text.count(FUNCTION) != 1:
        raise ValueError(f"{lists} adds variants in another way")
    lists.write_text(text.replace(FUNCTION, FUNCTION + CHOICE), encoding="utf-8")


def _compile(source: native.Source, variants: str) -> Path:
    """Compile llama.cpp. Returns the folder of its DLLs."""
    made = _tree(source) / "make"
    options = OPTIONS | {"R1_VARIANTS": "" if variants == ALL else variants}
    options["CMAKE_TOOLCHAIN_FILE"] = str(HERE / "mingw.cmake")
    configure = ["cmake", "-G", "Ninja", "-S", str(_unpacked(source) / "vendor" / "llama.cpp")]
    configure += ["-B", str(made), *(f"-D{key}={value}" for key, value in options.items())]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    print(f"Compiling llama.cpp for Windows, variants: {variants}.", flush=True)
    jobs = str(max(1, (os.cpu_count() or 1) - 1))
    run("nice", "-n", "19", "ninja", "-C", made, "-j", jobs, "--quiet", "llama")
    return made / "bin"


def _runtime(name: str) -> Path:
    """Returns the path of one of mingw's own libraries."""
    ask = [tool("g++-posix"), f"-print-file-name={name}"]
    return Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())

"""llama.cpp and the native library for Windows, compiled on Linux by the same compiler as there.

The source is the one in uv.lock, with the options of the release (`bundle/native.py`). Compiled
files are kept, and further CPU variants are added to them.
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

from build_cache import BUILT, ROOT, cached, digest

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
OPTIONS = native.OPTIONS | {
    "BUILD_SHARED_LIBS": "ON",
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_SYSTEM_NAME": "Windows",
    "CMAKE_SYSTEM_PROCESSOR": "AMD64",
    "GGML_OPENMP": "OFF",
    **{f"LLAMA_BUILD_{part}": "OFF" for part in ("COMMON", "EXAMPLES", "SERVER", "TESTS", "TOOLS")},
}
FUNCTION = "function(ggml_add_cpu_backend_variant tag_name)"
CHOICE = """
    if (R1_VARIANTS AND NOT tag_name IN_LIST R1_VARIANTS)
        return()
    endif()
"""


def compiler() -> tuple[Path, dict[str, str]]:
    """Returns clang, and the environment in which CMake finds and uses it. Raises SystemExit."""
    folder = toolchain.find_compiler(from_source.usable_python() or sys.executable)
    if folder is None:
        raise SystemExit(1)
    zig = toolchain.zig_in(folder)
    search = os.pathsep.join((str(folder / toolchain.BIN), os.environ["PATH"]))
    return zig, os.environ | own.cmake_variables(zig, TARGET) | {"PATH": search}


def libraries(variants: str) -> Path:
    """Returns a folder for site-packages with the binding and llama.cpp's libraries.

    `variants` are names of CPU variants with semicolons between them, or "all". Compiling one takes
    about 7 minutes on a core, all fourteen take 45 minutes. Raises CalledProcessError.
    """
    source = native.locked_source(ROOT / "uv.lock")
    made_of = [
        source.sha256,
        repr(sorted(OPTIONS.items())),
        repr(own.TARGETS[TARGET]),
        variants,
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
        own.build(TARGET, place / beside.name, compiler()[0])

    sources = sorted(own.FOLDER.glob("*.?pp"))
    made = cached("native", [*sources, Path(own.__file__)], compile_in) / beside.name
    if not beside.is_file() or beside.read_bytes() != made.read_bytes():
        shutil.copy(made, beside)
    return beside


def _tree(source: native.Source) -> Path:
    return BUILT / f"llama-make-{digest([source.sha256, repr(own.TARGETS[TARGET])])}"


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
    configure = ["cmake", "-G", "Ninja", "-S", str(_unpacked(source) / "vendor" / "llama.cpp")]
    configure += ["-B", str(made), *(f"-D{key}={value}" for key, value in options.items())]
    _, environment = compiler()
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL, env=environment)
    print(f"Compiling llama.cpp for Windows, variants: {variants}.", flush=True)
    jobs = str(max(1, (os.cpu_count() or 1) - 1))
    build = ["nice", "-n", "19", "ninja", "-C", str(made), "-j", jobs, "--quiet", "llama"]
    subprocess.run(build, check=True, env=environment)
    return made / "bin"

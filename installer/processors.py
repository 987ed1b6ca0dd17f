#!/usr/bin/env python3
"""Runs the tests of what a processor decides with llama.cpp compiled for others than this one.

    python3 installer/processors.py                     # every variant of the bundle, then QEMU's
    python3 installer/processors.py haswell sse42       # these alone
    python3 installer/processors.py --quick haswell     # the kernels and one model, without QEMU

The variants are those of ggml's own CMake file. Each is compiled, if this processor can execute
it, and takes the place of libggml-cpu in a copy of the environment's llama.cpp. Then QEMU's user
mode emulates older processors, whose CPUID and /proc/cpuinfo lack what a newer one has. Prints a
row for each run; the exit status is 1 if a test failed. Linux; QEMU's part needs the package
qemu-user and user namespaces. Run it after `installer/from_source.py setup`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "installer"), str(ROOT / "installer" / "bundle")]
import from_source  # noqa: E402 - beside this file
import native  # noqa: E402
import old_processors  # noqa: E402
import toolchain  # noqa: E402

BUILT = ROOT / "build" / "processors"
LIBRARIES = "lib/python*/site-packages/llama_cpp/lib"
FOLDERS = ("engine", "memory", "catalogue", "native_library")
QUICK = ("native_library", "engine/llama/test_kernels.py", "engine/llama/test_model.py")
EMULATED = {"Nehalem": "sse42", "Haswell": "haswell"}
# What is pure computes with no kernel; times under load say nothing of them.
MARKED = "integration and not (slow or quiet)"
# What ggml's CMake file calls an instruction set, and Linux's name where it is another.
_FLAGS = {"SSE42": "sse4_2", "AVX512": "avx512f", "F16C": "f16c", "AVX512_VBMI": "avx512vbmi"}
_VARIANT = re.compile(r"ggml_add_cpu_backend_variant\((?P<name>\w+) +(?P<sets>SSE42[\w ]*)\)")
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


@dataclass(frozen=True, slots=True)
class Variant:
    """A build of ggml's code for the processor: its name and instruction sets, by CMake's names."""

    name: str
    sets: tuple[str, ...]

    def runs_on(self, features: Sequence[str]) -> bool:
        """Whether a processor with these features of /proc/cpuinfo has all instruction sets."""
        return {_FLAGS.get(each, each.lower()) for each in self.sets} <= {*features}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a test run; a `row` of the table."""

    name: str
    sets: str
    counts: dict[str, int]
    status: int
    seconds: float

    @property
    def row(self) -> str:
        """The Markdown row: name, instruction sets, passed, failed, skipped, seconds."""
        failed = self.counts.get("failed", 0) + self.counts.get("error", 0)
        numbers = f"{self.counts.get('passed', 0):,} | {failed} | {self.counts.get('skipped', 0)}"
        return f"| {self.name} | {self.sets} | {numbers} | {self.seconds:.0f} |"


def main() -> int:
    """Run the tests with each variant and print the table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("variants", nargs="*", help="names as in the bundle; all without any")
    parser.add_argument("--quick", action="store_true", help="the kernels and one model, no QEMU")
    asked = parser.parse_args()
    source = unpacked_source()
    known = bundled_variants(source)
    if unknown := {*asked.variants} - {each.name for each in known}:
        parser.error(f"no variant is named {', '.join(sorted(unknown))}")
    chosen = [each for each in known if not asked.variants or each.name in asked.variants]
    print("| variant | instruction sets | passed | failed | skipped | seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    outcomes = []
    for each in outcomes_of(source, chosen, quick=asked.quick):
        print(each.row, flush=True)
        outcomes.append(each)
    return int(any(each.status for each in outcomes))


def outcomes_of(source: Path, variants: Sequence[Variant], *, quick: bool) -> Iterator[Outcome]:
    """Run the tests with each variant here, then under QEMU. Raises CalledProcessError."""
    features = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].split("\n")
    for each in variants:
        if not each.runs_on(features[0].split()):
            print(f"not executed here: {each.name}", file=sys.stderr, flush=True)
            continue
        libraries = compiled(source, each)
        tests = QUICK if quick else FOLDERS
        yield tested(each.name, " ".join(each.sets[-2:]), [], libraries, tests)
    for model, name in EMULATED.items():
        for each in variants:
            if each.name == name and not quick:
                libraries = compiled(source, each)
                start = emulator(model)
                yield tested(f"{name}, QEMU's {model}", "", start, libraries, QUICK[:1])


def unpacked_source() -> Path:
    """Returns the folder of llama.cpp in the locked source package, which is fetched once."""
    locked = native.locked_source(ROOT / "uv.lock")
    folder = BUILT / f"source-{locked.version}"
    if not folder.is_dir():
        BUILT.mkdir(parents=True, exist_ok=True)
        archive = BUILT / "source.tar.gz"
        with urllib.request.urlopen(locked.url) as answer, archive.open("wb") as out:  # noqa: S310 - of the lock file
            shutil.copyfileobj(answer, out)
        with archive.open("rb") as stored:
            if hashlib.file_digest(stored, "sha256").hexdigest() != locked.sha256:
                raise ValueError(f"{locked.url} is not the file of uv.lock")
        partly = BUILT / "unpacking"
        with tarfile.open(archive) as packed:
            packed.extractall(partly, filter="data")
        archive.unlink()
        partly.rename(folder)
    return next(folder.glob("*/vendor/llama.cpp"))


def bundled_variants(source: Path) -> list[Variant]:
    """Returns the variants for x86 that the bundle is built with, the oldest processor first."""
    cmake = (source / "ggml" / "src" / "CMakeLists.txt").read_text(encoding="utf-8")
    return [Variant(each["name"], tuple(each["sets"].split())) for each in _VARIANT.finditer(cmake)]


def compiled(source: Path, variant: Variant) -> Path:
    """Returns a folder with the environment's llama.cpp and this variant's libggml-cpu.

    Raises CalledProcessError.
    """
    build, place = BUILT / "build", BUILT / variant.name / "lib"  # what all share is compiled once
    if place.is_dir():
        return place
    options = ["-DGGML_NATIVE=OFF", "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Release"]
    known = sorted({name for each in bundled_variants(source) for name in each.sets})
    options += [f"-DGGML_{name}={'ON' if name in variant.sets else 'OFF'}" for name in known]
    build_it = ["--build", str(build), "--target", "ggml-cpu", "--parallel", str(os.cpu_count())]
    for arguments in (["-S", str(source), "-B", str(build), *options], build_it):
        environment = toolchain.own_environment()
        subprocess.run(
            [*cmake(), *arguments], check=True, stdout=subprocess.DEVNULL, env=environment
        )
    (installed,) = (ROOT / ".venv").glob(LIBRARIES)
    (made,) = build.rglob("libggml-cpu.so")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(installed, place)
    for name in place.glob("libggml-cpu.so*"):  # the wheel has no links
        shutil.copy(made, name)
    return place


def cmake() -> list[str]:
    """Returns the command of CMake: the system's, or PyPI's by uv."""
    if shutil.which("cmake"):
        return ["cmake"]
    uv = toolchain.find_uv()
    return [str(uv), "tool", "run", "--quiet", "cmake"]


def emulator(model: str) -> list[str]:
    """Returns the start of a command that runs a program on QEMU's model of a processor.

    Programs that this one starts run on the real processor.
    """
    cpuinfo = BUILT / f"cpuinfo-{model}"
    cpuinfo.write_text(old_processors.cpuinfo_of(model), encoding="utf-8")
    script = f'mount --bind "{cpuinfo}" /proc/cpuinfo && exec qemu-x86_64 -cpu {model} "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]


def tested(
    name: str, sets: str, start: list[str], libraries: Path, tests: Sequence[str]
) -> Outcome:
    """Run the tests with a folder of libraries; what fails is printed to standard error."""
    began = time.monotonic()
    command = [*start, from_source.tool("python"), "-m", "pytest", "-q", "-rf", "--no-header"]
    command += ["-m", MARKED, "--tb=short", *(str(ROOT / "tests" / each) for each in tests)]
    # An emulated processor is slow, and its tests need no second process.
    command += (
        ["--timeout=3000"] if start else ["-n", str(from_source.workers()), "--dist=loadfile"]
    )
    environment = os.environ | {"LLAMA_CPP_LIB_PATH": str(libraries)}
    environment.pop("OPENBLAS_CORETYPE", None)  # NumPy's, for the processor that this is not
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:], file=sys.stderr, flush=True)
    last = done.stdout.strip().rpartition("\n")[2]
    counts = {what.removesuffix("s"): int(number) for number, what in _COUNT.findall(last)}
    return Outcome(name, sets, counts, done.returncode, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())

"""The kernels on other processors and systems: a program of theirs, compiled by clang from PyPI."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "installer"))
import native_library

SOURCES = ("attention*.cpp", "mul_mat_*.cpp", "activations.cpp", "x86_features.cpp")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def compiled(program: Path, triple: str, processor: str) -> Path:
    """The program that compares the kernels with exact sums."""
    files = sorted({file for each in SOURCES for file in native_library.FOLDER.glob(each)})
    command = [native_library.own_zig(), "c++", "-target", triple, f"-mcpu={processor}", "-O3"]
    # Without symbols, as the wheels' libraries: they share what clang compiles of its C++ library.
    command += ["-g0", "-s", "-std=c++17", "-static", f"-I{native_library.FOLDER}", "-o", program]
    subprocess.run([*command, HERE / "kernel_check.cpp", *files], check=True)
    return program


def checked(command: list[str | Path]) -> list[str]:
    """The lines of the program. Fails where an error is too large."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(EMULATOR is None, reason="needs qemu-user")
def test_kernels_on_old_and_new_arm_processors_are_within_the_stated_error(tmp_path):
    """The new one alone has dot products of bytes."""
    program = compiled(tmp_path / "check", "aarch64-linux-musl", "generic")
    for processor, with_dot_products in (("cortex-a72", 0), ("max", 24)):
        lines = checked([EMULATOR, "-cpu", processor, program])
        assert sum(line.startswith("NEON attention") for line in lines) == 12
        assert sum(line.startswith(("NEON Q4_K", "NEON Q6_K", "NEON Q8_0")) for line in lines) == 24
        assert sum(line.startswith("NEON dotprod") for line in lines) == with_dot_products


@pytest.mark.skipif(not shutil.which("wine"), reason="needs Wine")
def test_the_kernels_of_windows_are_within_the_stated_error(tmp_path, monkeypatch):
    monkeypatch.setenv("WINEDEBUG", "-all")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "prefix"))
    target = native_library.TARGETS["windows-x86_64"]
    program = compiled(tmp_path / "check.exe", target.triple, target.processor)
    assert any(line.startswith("SSE4.2 Q4_K") for line in checked(["wine", program]))

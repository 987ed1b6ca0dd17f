"""The native library, compiled by one compiler for the systems of all users."""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import native_library

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="of wheels for Linux")
THROWS = """#include <stdexcept>
extern "C" int sample(void *, void *, int) { throw std::runtime_error("no token"); }
"""
CALL = """import ctypes, sys
library, throwing = map(ctypes.CDLL, sys.argv[1:])
print(library.sample_token_or_none(throwing.sample, None, None, 0))
"""
COMMAND = [sys.executable, str(Path(native_library.__file__))]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_another_systems_library_is_compiled_and_its_path_is_printed() -> None:
    """One of the six: each compiles clang's C++ library the first time, a minute and more."""
    target = ["--target", "windows-x86_64"]
    done = subprocess.run([*COMMAND, *target], capture_output=True, text=True, check=True)
    (made,) = (Path(line) for line in done.stdout.splitlines())
    assert made.parent.name == "windows-x86_64"
    assert made.read_bytes().startswith(b"MZ")


def test_a_machine_without_a_target_is_named_in_a_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "argv", [COMMAND[1]])
    assert native_library.main() == native_library.UNSUPPORTED
    assert capsys.readouterr().err.count("riscv64") == 1


def test_the_library_is_for_the_machine_of_its_interpreter() -> None:
    assert native_library.library(native_library.own_target()).is_file()


@pytest.fixture(scope="module")
def of_wheel() -> Path:
    return native_library.build_for_wheel(native_library.own_target())


@LINUX
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_wheels_library_runs_with_the_c_library_that_its_name_states(of_wheel) -> None:
    dump = ["objdump", "--dynamic-syms", str(of_wheel)]
    said = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    versions = {
        (int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", said)
    }
    stated = re.match(r"manylinux_(\d+)_(\d+)_", of_wheel.parent.name)
    assert stated is not None
    assert max(versions) <= (int(stated[1]), int(stated[2]))


@LINUX
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no GCC")
def test_a_wheels_library_catches_what_a_llama_cpp_by_gcc_throws(of_wheel, tmp_path) -> None:
    (source := tmp_path / "throws.cpp").write_text(THROWS, encoding="ascii")
    throwing = tmp_path / "throws.so"
    subprocess.run(["g++", "-shared", "-fPIC", "-o", throwing, source], check=True)
    call = [sys.executable, "-c", CALL, of_wheel, throwing]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "-1\n")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_folders_compile_the_same_bytes(tmp_path) -> None:
    """A name that depends on the folder or on the moment would differ."""
    made = []
    for name in ("one", "another"):
        folder = tmp_path / name
        for kept in ("installer", "app/deepseek_r1/native"):
            ignore = shutil.ignore_patterns("*.so", "*.dll", "*.dylib", "__pycache__")
            shutil.copytree(native_library.ROOT / kept, folder / kept, ignore=ignore)
        command = [sys.executable, folder / "installer" / "native_library.py", "--target"]
        done = subprocess.run(
            [*command, native_library.own_target()], capture_output=True, text=True, check=True
        )
        made.append(Path(done.stdout.strip()).read_bytes())
    assert made[0] == made[1]

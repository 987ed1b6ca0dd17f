"""The native library, compiled by one compiler for the systems of all users."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

import native_library

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

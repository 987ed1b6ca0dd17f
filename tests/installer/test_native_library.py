"""The native library, compiled by one compiler for the systems of all users."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

import native_library

COMMAND = [sys.executable, str(Path(native_library.__file__))]
BEGINNINGS = {".so": b"\x7fELF", ".dll": b"MZ", ".dylib": b"\xcf\xfa\xed\xfe"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_target_is_compiled_and_its_path_is_printed() -> None:
    done = subprocess.run([*COMMAND, "--target", "all"], capture_output=True, text=True, check=True)
    made = [Path(line) for line in done.stdout.splitlines()]
    assert [file.parent.name for file in made] == [*native_library.TARGETS]
    for file in made:
        assert file.read_bytes().startswith(BEGINNINGS[file.suffix])


def test_a_machine_without_a_target_is_named_in_a_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "argv", [COMMAND[1]])
    assert native_library.main() == native_library.UNSUPPORTED
    assert capsys.readouterr().err.count("riscv64") == 1


def test_the_library_is_for_the_machine_of_its_interpreter() -> None:
    assert native_library.library(native_library.own_target()).is_file()

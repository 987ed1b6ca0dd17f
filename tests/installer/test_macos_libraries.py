"""The check of libraries for macOS, which needs no Mac."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import native_library

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer" / "macos"))
import check_libraries
from check_libraries import OWN

pytestmark = pytest.mark.slow


def compiled(place: Path, text: str, *options: str) -> None:
    """Compile a C library for macOS, named relative to its place."""
    (source := place.with_suffix(".c")).write_text(text, encoding="ascii")
    target = native_library.TARGETS["macos-arm64"]
    command = [native_library.own_zig(), "cc", "-target", target.triple, "-shared", "-s"]
    named = f"-Wl,-install_name,@rpath/{place.name}"
    subprocess.run([*command, source, named, "-o", place, *options], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with our library and one that it needs."""
    folder = tmp_path_factory.mktemp("libraries")
    compiled(folder / "libother.dylib", "int of_the_other(void) { return 1; }")
    text = check_libraries.SOURCE.read_text(encoding="utf-8")
    names = re.findall(r"^EXPORT [^(]*?(\w+)\(", text, re.MULTILINE)
    functions = "".join(f"int {name}(void) {{ return of_the_other(); }}\n" for name in names)
    other = str(folder / "libother.dylib")
    compiled(folder / OWN, f"int of_the_other(void);\n{functions}", other)
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy of that folder."""
    for file in whole.glob("*.dylib"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_libraries_that_belong_together_have_no_fault(folder, capsys):
    assert check_libraries.main([str(folder)]) == 0
    assert f"{OWN}: arm64, macOS 12.0, @rpath/{OWN}" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["libother.dylib", OWN])
def test_a_library_that_is_missing_is_named(folder, capsys, missing):
    (folder / missing).unlink()
    assert check_libraries.main([str(folder)]) == 1
    assert missing in capsys.readouterr().err


def test_a_function_that_is_missing_is_named(folder, capsys):
    compiled(folder / "libother.dylib", "int of_somebody_else(void) { return 1; }")
    assert check_libraries.main([str(folder)]) == 1
    assert "does not export of_the_other" in capsys.readouterr().err


def test_what_is_no_library_for_macos_is_a_fault(folder, capsys):
    (folder / "libother.dylib").write_bytes(b"MZ" + bytes(64))
    assert check_libraries.main([str(folder)]) == 1
    assert "libother.dylib: it is no 64-bit Mach-O." in capsys.readouterr().err

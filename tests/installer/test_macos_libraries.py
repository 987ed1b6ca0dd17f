"""The check of libraries for macOS, which needs no Mac."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import contents
import pytest

import native_library

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "installer" / "macos"))
import check_libraries
from check_libraries import OWN

pytestmark = pytest.mark.slow


def compiled(place: Path, text: str, *options: str, target: str = "macos-arm64") -> None:
    """Compile a C library for macOS, named relative to its place."""
    (source := place.with_suffix(".c")).write_text(text, encoding="ascii")
    triple = native_library.TARGETS[target].triple
    command = [native_library.own_zig(), "cc", "-target", triple, "-shared", "-s"]
    named = f"-Wl,-install_name,@rpath/{place.name}"
    subprocess.run([*command, source, named, "-o", place, *options], check=True)


def test_each_wheel_for_macos_runs_where_the_application_says_that_it_does() -> None:
    """The lock file decides the oldest macOS, not `Info.plist`."""
    stated = contents.info_plist(ROOT)["LSMinimumSystemVersion"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    for package in lock["package"]:
        urls = " ".join(each["url"] for each in package.get("wheels", ()))
        needed = [float(f"{a}.{b}") for a, b in re.findall(r"macosx_(\d+)_(\d+)_[au]", urls)]
        if needed and "-any.whl" not in urls:
            assert min(needed) <= float(stated), package["name"]


@pytest.fixture(scope="module", params=["macos-arm64", "macos-x86_64"])
def target(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory, target) -> Path:
    """A folder with our library and one that it needs."""
    folder = tmp_path_factory.mktemp("libraries")
    compiled(folder / "libother.dylib", "int of_the_other(void) { return 1; }", target=target)
    text = check_libraries.SOURCE.read_text(encoding="utf-8")
    names = re.findall(r"^EXPORT [^(]*?(\w+)\(", text, re.MULTILINE)
    functions = "".join(f"int {name}(void) {{ return of_the_other(); }}\n" for name in names)
    other = str(folder / "libother.dylib")
    compiled(folder / OWN, f"int of_the_other(void);\n{functions}", other, target=target)
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy of that folder."""
    for file in whole.glob("*.dylib"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_libraries_that_belong_together_have_no_fault(folder, target, capsys):
    assert check_libraries.main([str(folder)]) == 0
    processor = target.removeprefix("macos-")
    assert f"{OWN}: {processor}, macOS 12.0, " in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["libother.dylib", OWN])
def test_a_library_that_is_missing_is_named(folder, capsys, missing):
    (folder / missing).unlink()
    assert check_libraries.main([str(folder)]) == 1
    assert missing in capsys.readouterr().err


def test_a_function_that_is_missing_is_named(folder, target, capsys):
    compiled(folder / "libother.dylib", "int of_somebody_else(void) { return 1; }", target=target)
    assert check_libraries.main([str(folder)]) == 1
    assert "does not export of_the_other" in capsys.readouterr().err


def test_what_is_no_library_for_macos_is_a_fault(folder, capsys):
    (folder / "libother.dylib").write_bytes(b"MZ" + bytes(64))
    assert check_libraries.main([str(folder)]) == 1
    assert "libother.dylib: it is no 64-bit Mach-O." in capsys.readouterr().err

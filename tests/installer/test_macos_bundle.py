"""macOS's application as it is assembled on Linux: its start, and the check that needs no Mac."""

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import contents
import pytest
import toolchain

import native_library

ROOT = Path(__file__).resolve().parents[2]
MACOS = ROOT / "installer" / "macos"
sys.path.insert(0, str(MACOS))
import application
import check_bundle

pytestmark = pytest.mark.slow
linux_alone = pytest.mark.skipif(sys.platform != "linux", reason="assembled on Linux")


def compile_c(target: str, made: Path, text: str, *options: str) -> Path:
    """Compile C for macOS."""
    made.parent.mkdir(parents=True, exist_ok=True)
    triple = native_library.TARGETS[target].triple
    command = [native_library.own_zig(), "cc", "-target", triple, "-x", "c", "-", "-x", "none"]
    command += ["-s", "-o", made]
    command += ["-Wl,-headerpad,0x1000", *options]
    subprocess.run(command, input=text.encode(), check=True)
    return made


@pytest.fixture(scope="module", params=["macos-arm64", "macos-x86_64"])
def signed(tmp_path_factory, request) -> Path:
    """A small bundle: a program, a library and an extension module that needs it.

    Its folder is named as the processor.
    """
    target = request.param
    processor = application.PROCESSORS[target][0]
    bundle = tmp_path_factory.mktemp("signed") / processor / "R1 Desk.app"
    inside = bundle / "Contents"
    packages = inside / "Resources" / "app" / "package"
    compile_c(target, inside / "MacOS" / "r1desk", "int main(void) { return 0; }")
    named = "-Wl,-install_name,@rpath/libother.dylib"
    other = compile_c(target, packages / "libother.dylib", "int of_the_other;", "-shared", named)
    text = "extern int of_the_other; int *place(void) { return &of_the_other; }"
    place = "-Wl,-rpath,@loader_path"
    compile_c(target, packages / "module.so", text, "-shared", str(other), place)
    (packages / "module.py").write_text("", encoding="ascii")
    values = contents.info_plist(ROOT) | application.identity()
    (inside / "Info.plist").write_bytes(plistlib.dumps(values))
    application.sign(bundle)
    return bundle


@pytest.fixture
def bundle(signed, tmp_path) -> Path:
    """A copy of that bundle."""
    return shutil.copytree(signed, tmp_path / signed.parent.name / "R1 Desk.app")


def faults(bundle: Path) -> list[str]:
    return list(check_bundle.faults(bundle, bundle.parent.name))


@linux_alone
def test_a_whole_bundle_has_no_fault(bundle):
    assert faults(bundle) == []


@linux_alone
def test_a_library_that_is_taken_out_is_named_by_what_needs_it(bundle):
    (bundle / "Contents/Resources/app/package/libother.dylib").unlink()
    assert faults(bundle) == [
        "Resources/app/package/module.so: @rpath/libother.dylib is neither here nor in macOS.",
        "Resources/app/package/libother.dylib is missing.",
    ]


@linux_alone
@pytest.mark.parametrize("name", ["MacOS/r1desk", "Resources/app/package/libother.dylib"])
def test_machine_code_that_was_changed_is_named(bundle, name):
    file = bundle / "Contents" / name
    content = bytearray(file.read_bytes())
    content[4096 + 100] ^= 1
    file.write_bytes(content)
    assert f"{name}: page 1 is not what was signed." in faults(bundle) or (
        f"{name}: page 0 is not what was signed." in faults(bundle)
    )


@linux_alone
def test_other_files_that_were_changed_or_added_are_named(bundle):
    package = bundle / "Contents" / "Resources" / "app" / "package"
    (package / "module.py").write_text("changed", encoding="ascii")
    (package / "more.py").write_text("", encoding="ascii")
    assert faults(bundle) == [
        "Resources/app/package/module.py is not what was signed.",
        "Resources/app/package/more.py was not signed.",
    ]


@linux_alone
def test_a_program_without_the_entitlements_is_named(bundle, monkeypatch, tmp_path):
    (other := tmp_path / "entitlements.plist").write_bytes(plistlib.dumps({"other": True}))
    monkeypatch.setattr(check_bundle, "ENTITLEMENTS", other)
    assert faults(bundle) == ["MacOS/r1desk: it has not the entitlements."]


@linux_alone
def test_another_info_plist_is_named(bundle):
    file = bundle / "Contents" / "Info.plist"
    values = plistlib.loads(file.read_bytes()) | {"LSMinimumSystemVersion": "11.0"}
    file.write_bytes(plistlib.dumps(values))
    assert "MacOS/r1desk: Info.plist is not what was signed." in faults(bundle)
    assert "MacOS/r1desk: it needs macOS (12, 0)." in faults(bundle)


def test_what_reads_pictures_is_left_out_where_onnxruntime_has_no_wheel():
    wheels = toolchain.locked_package("onnxruntime")["wheels"]
    for processor in ("arm64", "x86_64"):
        there = any("macosx" in each["url"] and processor in each["url"] for each in wheels)
        assert application.wanted(Path("rapidocr/models/any.onnx"), processor) == there


@linux_alone
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
@pytest.mark.parametrize("target", application.PLATFORMS)
def test_a_library_of_llama_cpp_says_nothing_of_the_machine_that_compiled_it(
    tmp_path, monkeypatch, target
):
    """Two builds are in two folders, and have the same bytes."""
    (tmp_path / "CMakeLists.txt").write_text(
        'cmake_minimum_required(VERSION 3.21)\nproject("llama.cpp" CXX)\n'
        "set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\n"
        "add_library(one SHARED one.cpp)\n",
        encoding="ascii",
    )
    text = 'extern "C" const char *place() { return __FILE__; }'
    (tmp_path / "one.cpp").write_text(text, encoding="ascii")
    processor, oldest = application.PROCESSORS[target]
    monkeypatch.setenv("R1DESK_ZIG", str(native_library.own_zig()))
    monkeypatch.setenv("R1DESK_FOR", native_library.TARGETS[target].triple)
    monkeypatch.setenv("R1DESK_PROCESSOR", processor)
    monkeypatch.setenv("R1DESK_CPU", oldest)
    build = tmp_path / "build"
    options = [f"-DCMAKE_TOOLCHAIN_FILE={MACOS / 'llama.cmake'}", "-DCMAKE_BUILD_TYPE=Release"]
    subprocess.run(["cmake", "-S", tmp_path, "-B", build, *options], check=True)
    subprocess.run(["cmake", "--build", build], check=True)
    library = build / "bin" / "libone.dylib"
    application.name_relatively(library)
    content = library.read_bytes()
    assert str(tmp_path).encode() not in content
    assert "place" in check_bundle.read(content).exported


LIBRARY = r"""
#include <stdio.h>
#include <stdlib.h>
int Py_BytesMain(int count, char **arguments) {
    for (int each = 0; each < count; each++) printf("%s\n", arguments[each]);
    printf("%s\n%s\n", getenv("PYTHONPATH"), getenv("PYTHONPYCACHEPREFIX"));
    return arguments[count] == NULL ? 7 : 1;
}
"""
UV = """\
#!/bin/sh
[ "$2" = install ] && mkdir -p "$UV_PYTHON_INSTALL_DIR/bin" "$UV_PYTHON_INSTALL_DIR/lib" \\
    && cp "$LIBRARY" "$UV_PYTHON_INSTALL_DIR/lib/libpython3.13.dylib" && exit
[ -d "$UV_PYTHON_INSTALL_DIR/bin" ] && echo "$UV_PYTHON_INSTALL_DIR/bin/python3.13"
"""


@pytest.fixture
def start(tmp_path):
    """Starts the bundle's program, made for this system, with a uv and an osascript of the test."""
    inside = tmp_path / "its place" / "R1 Desk.app" / "Contents"
    program, uv = inside / "MacOS" / "r1desk", inside / "MacOS" / "uv"
    program.parent.mkdir(parents=True)
    compiler = [native_library.own_zig(), "cc"]
    subprocess.run([*compiler, MACOS / "program.c", "-o", program, "-ldl"], check=True)
    library = tmp_path / "library.so"
    compiled = [*compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", library]
    subprocess.run(compiled, input=LIBRARY.encode(), check=True)
    (inside / "Resources").mkdir()
    shutil.copy(MACOS / "interpreter.sh", inside / "Resources")
    uv.write_text(UV, encoding="ascii")
    dialog = tmp_path / "bin" / "osascript"
    dialog.parent.mkdir()
    dialog.write_text('#!/bin/sh\necho asked >>"$HOME/asked"\nexit $ANSWER\n', encoding="ascii")
    for each in (uv, dialog):
        each.chmod(0o755)
    own = {"HOME": str(tmp_path), "LIBRARY": str(library)}
    own["PATH"] = f"{dialog.parent}:{os.environ['PATH']}"

    def run(answer: int) -> subprocess.CompletedProcess[str]:
        command = [program, "--profile", "a b"]
        variables = own | {"ANSWER": str(answer)}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    return run


@linux_alone
def test_the_first_start_asks_fetches_python_and_runs_the_application_in_the_same_process(
    start, tmp_path
):
    for _ in range(2):  # the second asks nothing
        done = start(answer=0)
        assert done.returncode == 7, done.stderr
        python = tmp_path / "Library/Application Support/r1desk/python/bin/python3.13"
        packages = tmp_path / "its place/R1 Desk.app/Contents/Resources/app"
        assert done.stdout.splitlines() == [
            str(python), "-P", "-X", "utf8", "-m", "r1desk", "--profile", "a b", str(packages),
            str(tmp_path / "Library/Caches/r1desk/bytecode"),
        ]  # fmt: skip
    assert (tmp_path / "asked").read_text(encoding="ascii") == "asked\n"


@linux_alone
def test_who_declines_fetches_nothing(start, tmp_path):
    assert start(answer=1).returncode == 1
    assert not (tmp_path / "Library").exists()

"""The commands of `make`: which tests each runs, and what its exit status says."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import from_source
import pytest
import toolchain

import native_library


@pytest.mark.parametrize(
    ("static", "tests", "status"), [([0, 0], [0, 0], 0), ([1, 0], [0, 0], 1), ([0], [1, 2], 2)]
)
def test_the_worst_status_of_all_is_the_status(static, tests, status):
    assert from_source.worst_status(static, tests, selected=False) == status


def test_chosen_tests_may_all_be_in_one_of_the_two_runs() -> None:
    none = from_source.NO_TESTS_COLLECTED
    assert from_source.worst_status([0], [none, 0], selected=True) == 0
    assert from_source.worst_status([0], [none, none], selected=True) == none
    assert from_source.worst_status([0], [none, 0], selected=False) == none


def test_every_check_runs_even_when_one_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(from_source, "tool", lambda _name: sys.executable)
    marks = [tmp_path / "first", tmp_path / "second"]
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); sys.exit(3)"
    statuses = from_source.run_all([["python", "-c", code, str(mark)] for mark in marks])
    assert statuses == [3, 3]
    assert all(mark.exists() for mark in marks)


@pytest.mark.parametrize("integration", [False, True])
@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_a_test_is_in_one_run_of_make_test_or_of_make_test_all(integration, quiet, slow):
    marks = {"integration": integration, "quiet": quiet, "slow": slow}

    def runs(command: str) -> list[list[str]]:
        every = from_source.pytest_commands(command, ["-k", "name"])
        assert all(run[-2:] == ["-k", "name"] for run in every)
        return [run for run in every if eval(run[run.index("-m") + 1], {}, marks)]

    (only,) = runs("test") + runs("test-all")
    assert runs("test-all") == ([only] if slow else [])
    assert ("-n" in only) == (not quiet)
    assert len(runs("check")) == (not any(marks.values()))


def test_without_a_screen_the_window_needs_no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        @staticmethod
        def platforms(arguments: list[str]) -> list[str]:
            return []

        @staticmethod
        def missing_packages(names: list[str]) -> list[str]:
            return ["libgl1"]

    monkeypatch.setattr(from_source, "display_module", lambda: Bare)
    assert from_source.qt_libraries_found("run", [])
    assert not from_source.qt_libraries_found("test", [])


def test_the_look_for_a_screen_is_loaded_before_anything_is_installed() -> None:
    assert from_source.display_module().missing_packages([]) == []


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
def test_on_macos_llama_cpp_is_compiled_for_the_processor_alone(tmp_path):
    """llama-cpp-python forces Metal on there, whatever option CMake gets."""
    (inner := tmp_path / "inner").mkdir()
    outer = (
        'project(llama_cpp NONE)\nset(GGML_METAL ON CACHE BOOL "" FORCE)\nadd_subdirectory(inner)\n'
    )
    version = "cmake_minimum_required(VERSION 3.21)\n"
    (tmp_path / "CMakeLists.txt").write_text(version + outer, encoding="ascii")
    chosen = 'project("llama.cpp" NONE)\nmessage("Metal: ${GGML_METAL}, AVX2: ${GGML_AVX2}")\n'
    (inner / "CMakeLists.txt").write_text(version + chosen, encoding="ascii")
    file = from_source.ROOT / "installer" / "macos" / "llama.cmake"
    command = ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_TOOLCHAIN_FILE={file}"]
    done = subprocess.run(
        [*command, "-DGGML_METAL=OFF"], capture_output=True, text=True, check=True
    )
    assert "Metal: OFF, AVX2: ON" in done.stderr


def test_without_a_compiler_of_the_system_clang_is_fetched_and_compiles(monkeypatch):
    monkeypatch.setattr(native_library, "system_compiler", list)
    fetched = []
    monkeypatch.setattr(toolchain, "find_compiler", lambda python: fetched.append(python) or "x")
    assert toolchain.compiler_found("python3")
    assert fetched == ["python3"]
    built_with = toolchain.own_environment()
    assert Path(built_with["R1DESK_ZIG"]).parts[-2:] == ("ziglang", native_library.own_zig().name)
    assert Path(built_with["CMAKE_TOOLCHAIN_FILE"]).is_file()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="ggml for x86 pauses so")
@pytest.mark.parametrize("system", ["linux-gnu", "windows-gnu"])
def test_threads_that_turn_let_other_programs_run(tmp_path, system):
    (program := tmp_path / "turn.cpp").write_text(
        "#ifdef _WIN32\n#include <windows.h>\n#endif\n#include <immintrin.h>\n"
        "void turn(void) { for (int i = 0; i < 600; i++) _mm_pause(); }\n"
    )
    header = toolchain.TOOLCHAIN_FILE.with_name("yielding_pause.h")
    clang = [str(native_library.own_zig()), "cc", "-target", f"x86_64-{system}"]
    assembly = tmp_path / "turn.s"
    command = [*clang, "-include", str(header), "-O3", "-S", "-o", str(assembly), str(program)]
    subprocess.run(command, check=True)
    assert re.search("sched_yield|SwitchToThread", assembly.read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_dll_of_clang_links_with_another(tmp_path):
    """Without the header its linker finds `atexit` twice. The first time takes a minute."""
    header = toolchain.TOOLCHAIN_FILE.with_name("dll_exports.h")
    clang = [native_library.own_zig(), "cc", "-target", "x86_64-windows-gnu", "-shared"]
    clang += ["-include", header]
    (first := tmp_path / "first.c").write_text("int first(void) { return 1; }\n")
    (second := tmp_path / "second.c").write_text(
        "#include <stdlib.h>\nint first(void);\nstatic void leave(void) { first(); }\n"
        "int second(void) { return atexit(leave); }\n"
    )
    library = tmp_path / "libfirst.dll.a"
    exported = [f"-Wl,--out-implib,{library}", "-o", tmp_path / "first.dll"]
    subprocess.run([*clang, first, *exported], check=True)
    subprocess.run([*clang, second, library, "-o", tmp_path / "second.dll"], check=True)


def test_an_unsupported_machine_is_named_before_anything_is_installed(monkeypatch, capsys):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(sys, "argv", ["from_source.py", "setup"])
    assert from_source.main() == 3
    assert capsys.readouterr().err.count("riscv64") == 1


def test_a_wheel_with_other_bytes_than_the_locked_ones_is_refused(tmp_path):
    (file := tmp_path / "uv-1-py3-none-any.whl").write_bytes(b"other bytes")
    locked = toolchain.locked_package("uv")["wheels"][0] | {"url": file.as_uri()}
    with pytest.raises(OSError, match=r"not the file of uv\.lock"):
        toolchain.fetched(locked)


@pytest.mark.parametrize("target", native_library.TARGETS)
def test_every_target_has_its_tools_in_the_lock_file(target: str) -> None:
    for name in ("uv", "ziglang"):
        wheel = toolchain.locked_wheel(toolchain.locked_package(name), target)
        assert wheel["hash"].startswith("sha256:")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not shutil.which("g++"),
    reason="GCC compiles for x86 on Linux",
)
def test_all_bytes_of_the_configuration_of_tiles_are_written(tmp_path):
    (program := tmp_path / "tiles.cpp").write_text(
        "#include <immintrin.h>\n"
        "void load(unsigned char last) {\n"
        "  alignas(64) unsigned char bytes[64] = {1};\n"
        "  bytes[63] = last;\n"
        "  _tile_loadconfig(bytes);\n"
        "}\n"
    )
    flags = shlex.split(toolchain.own_environment()["CXXFLAGS"])
    command = ["g++", *flags, "-O3", "-mavx2", "-mamx-tile", "-S", "-o", "-", str(program)]
    assembly = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"movb\s+%dil, ", assembly)


def test_the_native_library_is_compiled_again_when_a_source_is_newer(tmp_path: Path) -> None:
    source = tmp_path / "library.cpp"
    source.touch()
    assert not from_source.native_library_is_current(tmp_path)
    library = tmp_path / f"streaming{from_source.LIBRARY}"
    library.touch()
    os.utime(source, (1, 1))
    assert from_source.native_library_is_current(tmp_path)
    os.utime(library, (0, 0))
    assert not from_source.native_library_is_current(tmp_path)


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("g++") or platform.machine() != "x86_64",
    reason="GCC's AMX",
)
def test_a_build_within_a_build_compiles_for_amx(tmp_path, monkeypatch):
    """`installer/release.py` starts the bundle's build in the environment of its own."""
    source = tmp_path / "empty.cpp"
    source.touch()
    monkeypatch.setattr(os, "environ", toolchain.own_environment())
    flags = shlex.split(toolchain.own_environment()["CXXFLAGS"])
    command = ["g++", "-mamx-tile", *flags, "-c", str(source), "-o", str(tmp_path / "empty.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

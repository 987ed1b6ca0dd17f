#!/usr/bin/env python3
"""Assembles `R1 Desk.app` for macOS on Linux, in a .zip. It has not been started on a Mac.

    python3 installer/macos/application.py TARGET WHEEL FOLDER

TARGET is macos-arm64 or macos-x86_64, WHEEL is ours for it, FOLDER gets the .zip. In the bundle are
a program (`program.c`), uv's, which fetches the interpreter at the first start (`interpreter.sh`),
llama.cpp by clang, and the wheels of uv.lock. Its signature is an ad-hoc one. `check_bundle` has to
find no fault. The same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import plistlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "installer"), str(ROOT / "installer" / "bundle")]
import check_bundle  # noqa: E402 - beside this file
import contents  # noqa: E402
import from_source  # noqa: E402
import native  # noqa: E402
import toolchain  # noqa: E402

import native_library  # noqa: E402

BUILT = ROOT / "build" / "macos"
NAME = "R1 Desk.app"
ICON = "r1desk.icns"
PYTHON = "3.13"  # as in interpreter.sh and program.c
PLATFORMS = {"macos-arm64": "aarch64-apple-darwin", "macos-x86_64": "x86_64-apple-darwin"}
# All Intel Macs with macOS 14 have AVX2.
PROCESSORS = {"macos-arm64": ("arm64", "apple_m1"), "macos-x86_64": ("x86_64", "haswell")}
UNUSED_ON_INTEL = ("PIL", "rapidocr")  # they need onnxruntime, which has no wheel for it
OPTIONS = {"GGML_NATIVE": "OFF", "LLAVA_BUILD": "OFF"}


def main() -> int:
    """Make the .zip that the arguments ask for. Returns 1 where the bundle has faults."""
    if len(sys.argv) != 4 or sys.argv[1] not in PLATFORMS:
        print(__doc__)
        return 2
    target, wheel, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as work:
        bundle = Path(work) / NAME
        assemble(bundle, target, wheel)
        sign(bundle)
        faults = list(check_bundle.faults(bundle, PROCESSORS[target][0]))
        print("\n".join(faults), file=sys.stderr)
        name = f"r1desk-{contents.version(ROOT)}-{target}.zip"
        print(pack(bundle, out / name))
    return int(bool(faults))


def assemble(bundle: Path, target: str, wheel: Path) -> None:
    """Make the bundle without a signature. Raises CalledProcessError, OSError."""
    inside = bundle / "Contents"
    programs, resources = inside / "MacOS", inside / "Resources"
    packages = resources / "app"  # `site-packages` would be the interpreter's own
    for folder in (programs, packages):
        folder.mkdir(parents=True)
    extras = [f"--extra={extra}" for extra in from_source.EXTRAS]
    stated = contents.info_plist(ROOT)
    os.environ["MACOSX_DEPLOYMENT_TARGET"] = stated["LSMinimumSystemVersion"]  # uv asks for it
    toolchain.install_locked(packages, PLATFORMS[target], PYTHON, "--no-dev", *extras)
    shutil.copytree(llama(target), packages, dirs_exist_ok=True)
    with zipfile.ZipFile(wheel) as ours:
        ours.extractall(packages)
    drop_unused(packages, PROCESSORS[target][0])
    shutil.copy(HERE / "interpreter.sh", resources)
    shutil.copy(ROOT / "build" / "bundle" / "icons" / ICON, resources)  # which make.py has drawn
    (programs / "uv").write_bytes(toolchain.uv_program(target))
    compiler = [zig(), "cc", "-target", native_library.TARGETS[target].triple, "-O2", "-Wall"]
    made = ["-Wl,-headerpad,0x1000", "-s", "-o", str(programs / "r1desk"), str(HERE / "program.c")]
    subprocess.run([*compiler, *made], check=True)
    for program in programs.iterdir():
        program.chmod(0o755)
    (inside / "Info.plist").write_bytes(plistlib.dumps(stated | identity()))


def identity() -> dict[str, str]:
    """Returns what PyInstaller adds to Info.plist on a Mac."""
    return {
        "CFBundleIdentifier": contents.IDENTIFIER,
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundlePackageType": "APPL",
        "CFBundleIconFile": ICON,
    }


def drop_unused(packages: Path, processor: str) -> None:
    """Remove programs, and what the bundles of other systems have nothing of either."""
    for file in sorted(packages.rglob("*"), reverse=True):  # what is in a folder before it
        place = file.relative_to(packages)
        if file.is_dir():
            if not any(file.iterdir()):
                file.rmdir()
        elif not contents.kept(place.as_posix()) or not wanted(place, processor):
            file.unlink()


def wanted(place: Path, processor: str) -> bool:
    """Returns False for programs, uv's notes, and libraries for others or of what is left out."""
    top, name, folders = place.parts[0], place.name, set(place.parts[1:-1])
    unused = ("bin", "include", "lib", *(UNUSED_ON_INTEL if processor == "x86_64" else ()))
    if top in unused or name in (".lock", "uv_cache.json", "direct_url.json"):
        return False
    if top == "ctransformers" and "lib" in folders:
        return place.suffix == ".dylib" and ("basic" in folders or processor == "x86_64")
    if top == "llama_cpp" and place.suffix == ".dylib":
        return contents.opened_by_name(name)
    if top == "PySide6" and folders:
        return bool(folders & {"lib", "plugins", "translations"}) and place.parts[1] == "Qt"
    if top == "PySide6" and name.endswith(".abi3.so"):
        return name.removeprefix("Qt").partition(".")[0] in contents.QT_LIBRARIES
    return top != "PySide6" or place.suffix == ".py" or name.startswith("libpyside6.")


def name_relatively(library: Path) -> None:
    """Name a library of llama.cpp, and those that it needs, by their place beside it.

    The linker took the folder that they were made in, which is another one each time.
    """
    content = bytearray(library.read_bytes())
    for found in re.finditer(rb"/[^\0]*/build/bin/([^\0/]+\.dylib)\0", content):
        content[found.start() : found.end()] = (b"@loader_path/" + found[1]).ljust(
            found.end() - found.start(), b"\0"
        )
    library.write_bytes(content)


def llama(target: str) -> Path:
    """Returns a folder with the binding and llama.cpp, compiled where it is missing.

    Raises CalledProcessError.
    """
    source = native.locked_source(ROOT / "uv.lock")
    made_of = [source.sha256, repr(OPTIONS), repr(PROCESSORS[target])]
    files = (*HERE.glob("*.cmake"), *toolchain.TOOLCHAIN_FILE.parent.glob("*.[ch]*"))
    made_of += [file.read_text(encoding="utf-8") for file in sorted(files) if file.is_file()]
    digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
    place = BUILT / f"llama-{target}-{digest}"
    if place.is_dir():
        return place
    unfinished = place.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    processor, cpu = PROCESSORS[target]
    environment = os.environ | {
        "CMAKE_TOOLCHAIN_FILE": str(HERE / "llama.cmake"),
        "CMAKE_GENERATOR": "Ninja",
        "R1DESK_ZIG": zig(),
        "R1DESK_FOR": native_library.TARGETS[target].triple,
        "R1DESK_PROCESSOR": processor,
        "R1DESK_CPU": cpu,
    }
    install = [str(toolchain.find_uv()), "pip", "install", "--no-cache", "--no-config", "--quiet"]
    install += ["--no-deps", "--system-certs", "--python", sys.executable]
    install += [f"--config-setting=cmake.define.{key}={value}" for key, value in OPTIONS.items()]
    install += ["--target", str(unfinished)]
    install.append(f"{native.PACKAGE} @ {source.url}#sha256={source.sha256}")
    subprocess.run(install, env=environment, check=True)
    for library in unfinished.rglob("*.dylib"):
        name_relatively(library)
    unfinished.rename(place)
    return place


def zig() -> str:
    """Returns the compiler, which is fetched if it is missing. Raises SystemExit."""
    folder = toolchain.find_compiler(from_source.usable_python() or sys.executable)
    if folder is None:
        raise SystemExit(1)
    return str(toolchain.zig_in(folder))


def sign(bundle: Path) -> None:
    """Sign a bundle and each file of machine code in it, ad hoc. Raises CalledProcessError.

    `sign.sh` signs it once more on a Mac with a Developer ID.
    """
    uv = [str(toolchain.find_uv()), "run", "--frozen", "--quiet", "--only-group", "macos"]
    place = {"UV_PROJECT_ENVIRONMENT": str(BUILT / "signer")}
    command = [*uv, "python", str(HERE / "sign_ad_hoc.py"), str(bundle)]
    subprocess.run(command, cwd=ROOT, env=toolchain.own_environment() | place, check=True)


def pack(bundle: Path, archive: Path) -> Path:
    """Write a .zip in which programs may be executed. Returns its path."""
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files_in(bundle):
            entry = zipfile.ZipInfo(str(file.relative_to(bundle.parent)), moment[:6])
            runs = file.parent.name == "MacOS" or file.suffix == ".sh"
            entry.external_attr = (stat.S_IFREG | (0o755 if runs else 0o644)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, file.read_bytes())
    return archive


def files_in(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder in the order of their names."""
    yield from (file for file in sorted(folder.rglob("*")) if file.is_file())


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())

"""The tools that build the project from its source: uv and clang, in the versions of `uv.lock`.

clang compiles where the system has no compiler. Uses nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import ssl
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import native_library

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
BIN = "Scripts" if WINDOWS else "bin"
COMPILER = ROOT / "build" / "compiler"
MACOS = sys.platform == "darwin"
TOOLCHAIN_FILE = ROOT / "installer" / ("macos/llama.cmake" if MACOS else "llama.cmake")
TILE_CONFIG = ROOT / "installer" / "amx_tile_config.h"


def compiler_found(python: str) -> bool:
    """True where llama.cpp can be compiled: without the system's compiler clang is fetched."""
    return bool(native_library.system_compiler()) or find_compiler(python) is not None


def find_compiler(python: str) -> Path | None:
    """The environment with clang, in the version of the lock file."""
    uv = find_uv()
    if uv is None:
        return None
    if not COMPILER.is_dir():
        print("Fetching clang: 100 MB.", flush=True)
    sync = [*sync_command(uv, python), "--only-group=compiler"]
    place = {"UV_PROJECT_ENVIRONMENT": str(COMPILER)}
    if subprocess.run(sync, cwd=ROOT, env=own_environment() | place, check=False).returncode != 0:
        return complain("The compiler could not be installed.", "The reason stands above.")
    return COMPILER


def zig_in(environment: Path) -> Path:
    """The compiler in an environment."""
    packages = [*environment.glob("lib/python*/site-packages"), environment / "Lib/site-packages"]
    return native_library.zig_of(packages[0])


def own_environment() -> dict[str, str]:
    """The environment without another project's virtual environment in it.

    CMake gets `llama.cmake`, unless a toolchain file is there already. On Linux a mistake of older
    GCCs is mended for it.
    """
    own = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    own.setdefault("CMAKE_TOOLCHAIN_FILE", str(TOOLCHAIN_FILE))
    if not native_library.system_compiler():
        own |= {"R1DESK_ZIG": str(zig_in(COMPILER)), "CMAKE_GENERATOR": "Ninja"}
    elif sys.platform == "linux":
        chosen = own.get("CXXFLAGS", "")
        own["CXXFLAGS"] = f"{chosen} -include {shlex.quote(str(TILE_CONFIG))}".strip()
    return own


def sync_command(uv: str, python: str) -> list[str]:
    """The start of a command that brings an environment to the state of the lock file."""
    # The system's certificates, where it has any: a company's proxy may have its own.
    trusted = ["--system-certs"] if certificates() else []
    return [uv, "sync", "--frozen", *trusted, "--python", python]


def install_locked(place: Path, platform: str, python: str, *options: str) -> None:
    """Unpack wheels of the lock file into a folder, as the site-packages of a platform of uv's.

    `options` are those of `uv export`. Raises CalledProcessError.
    """
    uv = str(find_uv())
    export = [uv, "export", "--frozen", "--quiet", "--no-emit-project", *options]
    export += ["--no-emit-package", "llama-cpp-python", "--format", "requirements.txt"]
    locked = subprocess.run(export, cwd=ROOT, check=True, capture_output=True)
    with tempfile.NamedTemporaryFile(suffix=".txt") as requirements:
        requirements.write(locked.stdout)
        requirements.flush()
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--no-deps"]
        install += ["--require-hashes", "--only-binary", ":all:", "--target", str(place)]
        install += ["--python-platform", platform, "--python-version", python]
        subprocess.run([*install, "--requirement", requirements.name], cwd=ROOT, check=True)


def pip_command(uv: str, python: str) -> list[str]:
    """The start of a command of pip, which is in no environment here."""
    run = [uv, "run", "--no-project", "--quiet", "--python", python]
    return [*run, "--with", "pip", "python", "-m", "pip"]


def find_uv() -> str | None:
    """The installer `uv`, the wheel in the lock file: where Python is, pip need not be.

    Raises UnsupportedMachineError.
    """
    locked = locked_package("uv")
    uv = ROOT / "build" / f"uv-{locked['version']}{'.exe' if WINDOWS else ''}"
    if uv.is_file():
        return str(uv)
    try:
        content = uv_program(native_library.own_target())
    except OSError as error:
        return complain(f"uv could not be fetched: {error}", "Check the connection to PyPI.")
    uv.parent.mkdir(parents=True, exist_ok=True)
    partly = uv.with_name(uv.name + ".part")
    partly.write_bytes(content)
    partly.chmod(0o755)
    partly.replace(uv)
    return str(uv)


def uv_program(target: str) -> bytes:
    """The program in uv's wheel for a target. Raises OSError, UnsupportedMachineError."""
    with zipfile.ZipFile(io.BytesIO(fetched(locked_wheel(locked_package("uv"), target)))) as packed:
        (name,) = (each for each in packed.namelist() if Path(each).stem == "uv")
        return packed.read(name)


def locked_package(name: str) -> dict[str, Any]:
    """What the lock file says of a package."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return next(each for each in lock["package"] if each["name"] == name)


def locked_wheel(package: dict[str, Any], target: str) -> dict[str, Any]:
    """The wheel of a package for a target of `native_library`."""
    wanted = native_library.TARGETS[target].wheels
    system, processor = wanted.split("_")[0], wanted.partition("_")[2].lstrip("0123456789_")
    for wheel in package["wheels"]:
        tags = wheel["url"].removesuffix(".whl").rpartition("-")[2].split(".")
        if any(tag.startswith(system) and tag.endswith(f"_{processor}") for tag in tags):
            return dict(wheel)
    raise native_library.UnsupportedMachineError(f"{package['name']} has no wheel for {target}.")


def fetched(wheel: dict[str, Any]) -> bytes:
    """The bytes of a wheel in the lock file. Raises OSError, also for other bytes than its hash's.

    A bare system has no certificates. The hash alone decides whether the bytes are trusted.
    """
    context = ssl.create_default_context()
    if not certificates():
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(wheel["url"], context=context) as answer:  # noqa: S310 - of the lock file
        found: bytes = answer.read()
    if f"sha256:{hashlib.sha256(found).hexdigest()}" != wheel["hash"]:
        raise OSError(f"{wheel['url']} is not the file of uv.lock")
    return found


def certificates() -> bool:
    """Whether this system has certificates of authorities."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath) if paths.capath else None
    return WINDOWS or paths.cafile is not None or (folder is not None and any(folder.iterdir()))


def complain(what: str, todo: str) -> None:
    """Say what is wrong and what to do."""
    print(f"{what}\n{todo}", file=sys.stderr)

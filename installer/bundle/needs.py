"""Finds the shared libraries that a Linux bundle needs: inside it, and on the user's system."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_NEEDED = re.compile(r"^\s*NEEDED\s+(\S+)", re.MULTILINE)

_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)")

_C_LIBRARY = re.compile(r"^(ld-linux.*|lib(c|m|dl|pthread|rt|util|resolv))\.so.*")

# What comes with every Linux desktop beside the C library: the display's own libraries and what
# belongs to its drivers, each with Debian's package. These must not be ours: they speak to the
# system's servers and drivers.
DEBIAN_PACKAGES = {
    "libEGL": "libegl1",
    "libGL": "libgl1",
    "libGLX": "libglx0",
    "libOpenGL": "libopengl0",
    "libX11": "libx11-6",
    "libX11-xcb": "libx11-xcb1",
    "libdrm": "libdrm2",
    "libfontconfig": "libfontconfig1",
    "libfreetype": "libfreetype6",
    "libvulkan": "libvulkan1",
    "libwayland-client": "libwayland-client0",
    "libwayland-cursor": "libwayland-cursor0",
    "libwayland-egl": "libwayland-egl1",
    "libxcb": "libxcb1",
    "libz": "zlib1g",
}


def reachable(files: dict[str, str]) -> dict[str, str]:
    """Returns those of `files` (path in the bundle: path here) that something in the bundle needs.

    A library at the top of the bundle is there only because something else needs it. When a plugin
    is left out, what it alone needed goes with it; so does what every desktop has.
    """
    kept = {place: file for place, file in files.items() if "/" in place or "python" in place}
    at_top = {place: file for place, file in files.items() if place not in kept}
    waiting = list(kept.values())
    while waiting:
        for library in needed_by(Path(waiting.pop())):
            if library in at_top and not on_every_desktop(library):
                kept[library] = at_top.pop(library)
                waiting.append(kept[library])
    return kept


def outside(bundle: Path) -> dict[str, str]:
    """Returns the libraries that are needed and not in `bundle`, with one user each.

    Raises CalledProcessError where objdump cannot read a file.
    """
    inside = {file.name for file in bundle.rglob("*.so*")}
    found: dict[str, str] = {}
    for file in binaries(bundle):
        for library in needed_by(file):
            if library not in inside:
                found.setdefault(library, str(file.relative_to(bundle)))
    return found


def lacking(bundle: Path) -> dict[str, str]:
    """Returns the outside libraries that not every desktop has."""
    return {
        library: user for library, user in outside(bundle).items() if not on_every_desktop(library)
    }


def on_every_desktop(library: str) -> bool:
    """Returns True for a library that every Linux desktop has, such as "libGL.so.1"."""
    return bool(_C_LIBRARY.match(library)) or library.split(".so", 1)[0] in DEBIAN_PACKAGES


def least_glibc(bundle: Path) -> str:
    """Returns the oldest GNU C library that has everything the bundle uses, such as "2.34"."""
    versions = {(0, 0)}
    for file in binaries(bundle):
        dump = ["objdump", "--private-headers", str(file)]
        said = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
        versions |= {(int(major), int(minor)) for major, minor in _GLIBC.findall(said)}
    return "{}.{}".format(*max(versions))


def binaries(bundle: Path) -> list[Path]:
    """Returns the bundle's programs and libraries, without links."""
    files = (file for file in bundle.rglob("*") if file.is_file() and not file.is_symlink())
    return [file for file in files if _is_elf(file)]


def needed_by(file: Path) -> list[str]:
    """Returns the libraries that an ELF file names."""
    dump = ["objdump", "--private-headers", str(file)]
    said = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    return _NEEDED.findall(said)


def _is_elf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"

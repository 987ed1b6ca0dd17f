#!/usr/bin/env python3
"""Checks an application for macOS without a Mac.

    python3 installer/macos/check_bundle.py "R1 Desk.app" arm64

Each library that a file of machine code needs has to be in the bundle or in the system, each file
has to run on the oldest macOS of Info.plist, and each signature has to have the hashes of the pages
that it signs. The program's has the entitlements, and the hashes of Info.plist and of the list of
all other files, which has theirs. Prints a sentence for each fault; ends with 1 where there is one.
"""

from __future__ import annotations

import hashlib
import plistlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent))
from check_libraries import SYSTEM, Library, NotALibraryError, read, slice_for

ENTITLEMENTS = Path(__file__).with_name("entitlements.plist")
LIST = "_CodeSignature/CodeResources"
KEYS = ("CFBundleExecutable", "CFBundleIdentifier", "CFBundlePackageType", "CFBundleVersion")
MACHINE_CODE = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
# From <Security/CSCommon.h> and cs_blobs.h. All of it is big-endian.
_DIRECTORY, _RIGHTS, _SHA256 = 0xFADE0C02, 0xFADE7171, 2
_INFO, _RESOURCES = 1, 3  # what has a hash before those of the pages


def faults(bundle: Path, processor: str) -> Iterator[str]:
    """Yields a sentence for each fault."""
    inside = bundle / "Contents"
    info = plistlib.loads((inside / "Info.plist").read_bytes())
    yield from (f"Info.plist has no {key}." for key in KEYS if key not in info)
    oldest = tuple(int(part) for part in info["LSMinimumSystemVersion"].split("."))
    program = inside / "MacOS" / info["CFBundleExecutable"]
    if not program.is_file():
        yield f"{program.name} is missing."
    for file in filter(_is_code, sorted(inside.rglob("*"))):
        try:
            code = slice_for(file.read_bytes(), processor)
            library = read(code)
        except NotALibraryError as error:
            yield f"{file.relative_to(inside)}: {error}."
            continue
        found = [*_needs(library, file, inside, processor, oldest), *_signature(library, code)]
        if file == program:
            found += _seal(library, code, inside)
        yield from (f"{file.relative_to(inside)}: {fault}." for fault in found)
    yield from _listed(inside, program)


def _is_code(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) in MACHINE_CODE


def _needs(
    library: Library, file: Path, inside: Path, processor: str, oldest: tuple[int, ...]
) -> Iterator[str]:
    if library.processor != processor:
        yield f"it is for {library.processor}"
    if library.macos is None or library.macos > oldest:
        yield f"it needs macOS {library.macos}"
    for needed in library.needed:
        places = library.places if needed.startswith("@rpath/") else [""]
        paths = [needed.replace("@rpath", place, 1) for place in places]
        here = (path.replace("@loader_path", str(file.parent), 1) for path in paths)
        if not needed.startswith(SYSTEM) and not any(
            Path(path).resolve().is_relative_to(inside.resolve()) and Path(path).is_file()
            for path in here
        ):
            yield f"{needed} is neither here nor in macOS"


def _blobs(library: Library, code: bytes) -> list[tuple[int, bytes]]:
    """The parts of a signature, each with its number."""
    start, size = library.signature
    signature = code[start : start + size]
    if len(signature) < 12:
        return []
    (count,) = struct.unpack_from(">I", signature, 8)
    found = []
    for number in range(count):
        _, at = struct.unpack_from(">II", signature, 12 + 8 * number)
        magic, length = struct.unpack_from(">II", signature, at)
        found.append((magic, signature[at : at + length]))
    return found


def _directories(library: Library, code: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
    """The lists of hashes in a signature: the bytes, and the numbers at their beginning."""
    return [
        (blob, numbers)
        for magic, blob in _blobs(library, code)
        if magic == _DIRECTORY and (numbers := struct.unpack_from(">9I4B", blob))[10] == _SHA256
    ]


def _hash(directory: bytes, numbers: tuple[int, ...], slot: int) -> bytes:
    start = numbers[4] + slot * numbers[9]
    return directory[start : start + numbers[9]]


def _signature(library: Library, code: bytes) -> Iterator[str]:
    directories = _directories(library, code)
    if not directories:
        yield "it has no signature with SHA-256"
    for blob, numbers in directories:
        count, limit, page = numbers[7], numbers[8], 1 << numbers[12]
        for slot in range(count):
            content = code[slot * page : min((slot + 1) * page, limit)]
            if hashlib.sha256(content).digest() != _hash(blob, numbers, slot):
                yield f"page {slot} is not what was signed"
                break


def _seal(library: Library, code: bytes, inside: Path) -> Iterator[str]:
    """What is wrong with the program's entitlements and hashes of files."""
    rights = [blob[8:] for magic, blob in _blobs(library, code) if magic == _RIGHTS]
    stated = plistlib.loads(ENTITLEMENTS.read_bytes())
    if not rights or plistlib.loads(rights[0]) != stated:
        yield "it has not the entitlements"
    for blob, numbers in _directories(library, code):
        for slot, name in ((_INFO, "Info.plist"), (_RESOURCES, LIST)):
            file = inside / name
            content = file.read_bytes() if file.is_file() else b""
            if hashlib.sha256(content).digest() != _hash(blob, numbers, -slot):
                yield f"{name} is not what was signed"


def _listed(inside: Path, program: Path) -> Iterator[str]:
    """Compare the files with the signature's list of them."""
    if not (inside / LIST).is_file():
        yield f"{LIST} is missing."
        return
    listed = plistlib.loads((inside / LIST).read_bytes())["files2"]
    for name, entry in listed.items():
        file = inside / name
        if not file.is_file():
            if not file.is_dir():  # a bundle inside has a list of its own
                yield f"{name} is missing."
        elif "hash2" in entry and hashlib.sha256(file.read_bytes()).digest() != entry["hash2"]:
            yield f"{name} is not what was signed."
    own = {program, inside / "Info.plist", inside / "PkgInfo"}
    folders = {str(PurePosixPath(name)) for name in listed}
    for file in sorted(inside.rglob("*")):
        name = file.relative_to(inside)
        covered = {str(name), *map(str, name.parents)} & folders
        if file.is_file() and not covered and file not in own and name.parts[0] != "_CodeSignature":
            yield f"{name} was not signed."


def main() -> int:
    """Check the bundle in the arguments. Returns the exit status."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    found = list(faults(Path(sys.argv[1]), sys.argv[2]))
    print("\n".join(found) or "No fault.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Checks libraries for macOS without a Mac: each folder has those of one processor.

    python3 installer/macos/check_libraries.py FOLDER…

Reads the load commands of each .dylib. It has to be for its folder's processor and run on macOS 12,
be named relative to its place, and find each library and each function that it needs in the folder
or in the system. For Apple silicon it needs a signature; Intel's Macs start without. Prints a line
for each library and each fault. The exit status is 1 where there are faults.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NEWEST_MACOS = (12, 0)
SYSTEM = ("/usr/lib/", "/System/Library/")
PLACES = ("@rpath/", "@loader_path/")
SOURCE = Path(__file__).resolve().parents[2] / "app" / "deepseek_r1" / "native" / "library.cpp"
OWN = "streaming.dylib"
_MAGIC = 0xFEEDFACF
_SEVERAL = 0xCAFEBABE  # a file with code for several processors
_PROCESSORS = {0x0100000C: "arm64", 0x01000007: "x86_64"}
# Load commands, from <mach-o/loader.h>.
_SYMBOLS, _NAME, _SIGNATURE, _VERSION = 0x02, 0x0D, 0x1D, 0x32
_OLD_VERSION, _PLACE = 0x24, 0x8000001C
_NEEDED = (0x0C, 0x80000018, 0x8000001F)  # plain, weak, re-exported
_SYMBOL = struct.Struct("<IBBHQ")


class NotALibraryError(Exception):
    """A file is no 64-bit Mach-O."""


@dataclass
class Library:
    """What the load commands of a library say. Symbols are named as in C."""

    processor: str
    name: str = ""
    macos: tuple[int, int] | None = None
    signed: bool = False
    signature: tuple[int, int] = (0, 0)
    """Where it begins in the file, and its bytes."""
    places: list[str] = field(default_factory=list)
    """For which @rpath stands."""
    needed: list[str] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)
    imported: list[tuple[str, int]] = field(default_factory=list)
    """Each function with the number of the library in `needed` that has it, from 1."""


def read(content: bytes) -> Library:
    """Returns what a file says of itself. Raises NotALibraryError."""
    if len(content) < 32 or struct.unpack_from("<I", content)[0] != _MAGIC:
        raise NotALibraryError("it is no 64-bit Mach-O")
    processor, _, _, commands = struct.unpack_from("<IIII", content, 4)
    found = Library(_PROCESSORS.get(processor, hex(processor)))
    offset = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", content, offset)
        if command == _NAME:
            found.name = _text(content, offset, size)
        elif command in _NEEDED:
            found.needed.append(_text(content, offset, size))
        elif command in (_VERSION, _OLD_VERSION):
            (version,) = struct.unpack_from("<I", content, offset + (8, 12)[command == _VERSION])
            found.macos = version >> 16, version >> 8 & 255
        elif command == _PLACE:
            found.places.append(_text(content, offset, size))
        elif command == _SIGNATURE:
            found.signed = True
            found.signature = struct.unpack_from("<II", content, offset + 8)
        elif command == _SYMBOLS:
            _add_symbols(found, content, *struct.unpack_from("<IIII", content, offset + 8))
        offset += size
    return found


def slice_for(content: bytes, processor: str) -> bytes:
    """Returns the part for a processor of a file for several; other files whole.

    Raises NotALibraryError.
    """
    if len(content) < 8 or struct.unpack_from(">I", content)[0] != _SEVERAL:
        return content
    for number in range(struct.unpack_from(">I", content, 4)[0]):
        kind, _, start, size, _ = struct.unpack_from(">IIIII", content, 8 + 20 * number)
        if _PROCESSORS.get(kind) == processor:
            return content[start : start + size]
    raise NotALibraryError(f"it has nothing for {processor}")


def _text(content: bytes, offset: int, size: int) -> str:
    (start,) = struct.unpack_from("<I", content, offset + 8)
    return content[offset + start : offset + size].partition(b"\0")[0].decode()


def _add_symbols(found: Library, content: bytes, at: int, count: int, names: int, _: int) -> None:
    for number in range(count):
        name_at, kind, _section, about, _value = _SYMBOL.unpack_from(content, at + 16 * number)
        if kind & 0xE0 or not kind & 0x01:  # of a debugger, or not for others
            continue
        start = names + name_at
        name = content[start : content.index(b"\0", start)].decode().removeprefix("_")
        if kind & 0x0E:
            found.exported.add(name)
        else:
            found.imported.append((name, about >> 8))


def faults(folder: Path) -> Iterator[str]:
    """Yields a sentence for each fault, after printing a line for each library."""
    libraries: dict[str, Library] = {}
    for file in sorted(folder.glob("*.dylib")):
        try:
            libraries[file.name] = each = read(file.read_bytes())
        except NotALibraryError as error:
            yield f"{file.name}: {error}."
            continue
        macos = ".".join(map(str, each.macos or ()))
        print(f"{file}: {each.processor}, macOS {macos}, {'' if each.signed else 'not '}signed,"
              f" {each.name}, exports {len(each.exported)},"
              f" needs {', '.join(each.needed)}")  # fmt: skip
    if OWN not in libraries:
        yield f"{OWN} is missing in {folder}."
    if len({each.processor for each in libraries.values()}) > 1:
        yield f"{folder} has libraries for several processors."
    for name, each in libraries.items():
        yield from (f"{name}: {fault}." for fault in faults_of(name, each, libraries))


def faults_of(name: str, library: Library, others: dict[str, Library]) -> Iterator[str]:
    """Yields what is wrong with one library among others of its folder."""
    if library.macos is None or library.macos > NEWEST_MACOS:
        yield f"it needs macOS {library.macos}"
    if not library.signed and library.processor == "arm64":
        yield "it has no signature"
    if not library.name.startswith(PLACES):
        yield f"its name is {library.name}"
    if name == OWN:
        text = SOURCE.read_text(encoding="utf-8")
        wanted = {*re.findall(r"^EXPORT [^(]*?(\w+)\(", text, re.MULTILINE)}
        if lacking := wanted - library.exported:
            yield f"it does not export {', '.join(sorted(lacking))}"
    for needed in library.needed:
        at_hand = needed.startswith(PLACES) and needed.rpartition("/")[2] in others
        if not at_hand and not needed.startswith(SYSTEM):
            yield f"{needed} is neither here nor in macOS"
    for symbol, number in library.imported:
        needed = library.needed[number - 1] if 0 < number <= len(library.needed) else ""
        other = others.get(needed.rpartition("/")[2])
        if other is not None and symbol not in other.exported:
            yield f"{needed} does not export {symbol}"


def main(arguments: Sequence[str]) -> int:
    """Check the folders in the arguments. Returns the exit status."""
    if not arguments:
        print(__doc__)
        return 2
    found = [fault for folder in arguments for fault in faults(Path(folder))]
    for fault in found:
        print(fault, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

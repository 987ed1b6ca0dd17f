"""The child process that sets formulas with `mathra`: a frame in, a frame out.

A frame is four bytes of length and JSON, as in `core.frames`, which imports more than this process
may weigh. It is imported without Qt and started on the first formula. What models write is foreign:
a formula that makes the typesetter hang, grow or crash costs this process and no other.

`mathra` draws what it does not know in red and goes on; here that is a refusal, so that the window
shows the source instead. Characters that its font lacks, Chinese above all, are left to the
window's own fonts.
"""

import contextlib
import json
import os
import re
import signal
import struct
import sys
from functools import cache
from typing import Any, BinaryIO, Final

from mathra import _mathra as engine  # type: ignore[attr-defined]  # it is native

from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.process_lock import lock_without_files
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import MAX_SOURCE, MAX_SPEECH
from r1desk.chat.formulas.svg_reader import CannotTypeset, SvgReader, mend_array_rules

_LENGTH: Final = struct.Struct(">I")
_LARGE_REQUEST: Final = 1_000  # bytes
_MAX_MEMORY: Final = 512 << 20  # bytes of address space; some 20 MiB of it are resident
_MISSING_RULE: Final = "E-REC-8"
_MISSING_TEXT: Final = re.compile(r"\(U\+([0-9A-F]{4,6})\)")
_BLACKBOARD_ONE: Final = re.compile(r"\\mathbb\s*\{1\}|\\mathbb\s*1")
_MAX_WIDTH: Final = 90_000.0  # thousandths of an em; drawn smaller it is just legible
_PLACEHOLDER: Final = "a"  # any character of the font
_MAX_MISSING: Final = 200  # characters of other fonts in one formula


def main() -> int:
    """Answer requests until standard input ends; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the window
    _limit_memory()
    lock_without_files(ChildKind.FORMULAS.value.lock)
    source, sink = _pipes()
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        (size,) = _LENGTH.unpack(head)
        try:
            reply = json.dumps(typeset(**json.loads(source.read(size)))).encode()
        except CannotTypeset:
            reply = b"null"
        sink.write(_LENGTH.pack(len(reply)) + reply)
        sink.flush()
        if size > _LARGE_REQUEST:
            trim_heap()  # a later formula must not find this one's memory on the bill
    return 0


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output; `sys` has none of them in a program without a console."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return os.fdopen(0, "rb", closefd=False), os.fdopen(1, "wb", closefd=False)


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        for kind, limit in ((resource.RLIMIT_AS, _MAX_MEMORY), (resource.RLIMIT_CORE, 0)):
            with contextlib.suppress(OSError, ValueError):  # a system may forbid it
                resource.setrlimit(kind, (limit, limit))


def typeset(source: str, *, display: bool, language: str) -> dict[str, object]:
    """The layout of a formula as JSON-ready data. Raises CannotTypeset."""
    if len(source) > MAX_SOURCE:
        raise CannotTypeset("too long")
    prepared = _BLACKBOARD_ONE.sub("\U0001d7d9", source)  # `mathra` draws it as plain letters
    result = _render(prepared, language, display=display)
    missing = _missing_characters(result["warnings"])
    reader = SvgReader(result["svg"], missing_glyph=_missing_glyph())
    mend_array_rules(reader.parts, prepared)
    if missing:
        _place_missing(reader, prepared, missing, display=display)
    if reader.width > _MAX_WIDTH:
        raise CannotTypeset("wider than any column")
    return {
        "width": reader.width,
        "ascent": reader.ascent,
        "descent": reader.descent,
        "parts": reader.parts,
        "outlines": reader.outlines,
        "speech": result["speech"][:MAX_SPEECH],
    }


def _render(source: str, language: str, *, display: bool) -> dict[str, Any]:
    try:
        text = engine.render(source, language, display=display, strict=False, input="latex")
    except ValueError as error:
        raise CannotTypeset(str(error)) from error
    result: dict[str, Any] = json.loads(text)
    return result


def _missing_characters(warnings: list[dict[str, str]]) -> frozenset[str]:
    """The characters that the font lacks. Raises CannotTypeset for any other warning."""
    missing = set()
    for warning in warnings:
        found = _MISSING_TEXT.search(warning["description"])
        if warning["rule"] == _MISSING_RULE and found:
            missing.add(chr(int(found[1], 16)))
        else:
            raise CannotTypeset(warning["description"])
    return frozenset(missing)


@cache
def _missing_glyph() -> int:
    """The number of the box that the font draws for what it lacks."""
    svg = _render("\u5982", "en", display=False)["svg"]
    return int(SvgReader(svg, missing_glyph=-1).parts[0][1])


def _place_missing(
    reader: SvgReader, source: str, missing: frozenset[str], *, display: bool
) -> None:
    """Name the character of each box.

    The order of boxes in the drawing is the typesetter's own. One more drawing for each character,
    with one that the font has in its place, shows which box it is.
    """
    places = [index for index, part in enumerate(reader.parts) if part[0] == "character"]
    written = [index for index, letter in enumerate(source) if letter in missing]
    if len(written) != len(places) or len(written) > _MAX_MISSING:
        raise CannotTypeset("characters that the font lacks are drawn elsewhere")
    for index in written:
        other = f"{source[:index]}{_PLACEHOLDER}{source[index + 1 :]}"
        svg = _render(other, "en", display=display)["svg"]
        drawn = SvgReader(svg, missing_glyph=_missing_glyph()).parts
        if len(drawn) != len(reader.parts):
            raise CannotTypeset("characters that the font lacks change the formula")
        named = [place for place in places if drawn[place][0] != "character"]
        if len(named) != 1:
            raise CannotTypeset("characters that the font lacks cannot be told apart")
        reader.parts[named[0]][1] = source[index]


if __name__ == "__main__":
    sys.exit(main())

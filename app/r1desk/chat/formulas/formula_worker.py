"""The child process that sets formulas with `mathra`: a frame in, a frame out.

A frame is four bytes of length and JSON, as in `core.frames`, which imports more than this process
may weigh. It is imported without Qt and started on the first formula. What models write is foreign:
a formula that makes the typesetter hang, grow or crash costs this process and no other.

`mathra` draws what it does not know in red and goes on; here that is a refusal, so that the window
shows the source instead. Of its SVG only the elements that it was seen to write are known, so that
a formula is never drawn with a part missing. Characters that its font lacks, Chinese above all, are
left to the window's own fonts.

Lengths are in thousandths of an em, y grows upwards and is zero on the baseline. The parts are what
`formula_layout` in the window validates and paints, all in the colour of the text around:

    ["glyph", glyph, x, y, x_scale, y_scale]
    ["character", text, x, y, advance]        the formula's font lacks it
    ["rule", x, y, width, height]
    ["line", x1, y1, x2, y2, width]
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
from xml.etree import ElementTree as ET

from mathra import _mathra as engine  # type: ignore[attr-defined]  # it is native

from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.process_lock import lock_without_files
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas import (
    MAX_EXTENT,
    MAX_OUTLINE,
    MAX_PARTS,
    MAX_SOURCE,
    MAX_SPEECH,
)

Part = list[str | float]

_LENGTH: Final = struct.Struct(">I")
_LARGE_REQUEST: Final = 1_000  # bytes
_MAX_MEMORY: Final = 512 << 20  # bytes of address space; some 20 MiB of it are resident
_MISSING_RULE: Final = "E-REC-8"
_MISSING_TEXT: Final = re.compile(r"\(U\+([0-9A-F]{4,6})\)")
_BLACKBOARD_ONE: Final = re.compile(r"\\mathbb\s*\{1\}|\\mathbb\s*1")
_MAX_WIDTH: Final = 90_000.0  # thousandths of an em; drawn smaller it is just legible
_PLACEHOLDER: Final = "a"  # any character of the font
_MAX_MISSING: Final = 200  # characters of other fonts in one formula
_SVG: Final = "{http://www.w3.org/2000/svg}"
_GLYPH_ID: Final = re.compile(r"-g(\d+)\Z")
_NUMBER: Final = r"(-?[\d.]+(?:e-?\d+)?)"
_PLACE: Final = re.compile(
    rf"translate\({_NUMBER}[ ,]+{_NUMBER}\)(?:\s*scale\({_NUMBER}(?:[ ,]+{_NUMBER})?\))?\Z"
)
_MISSING_ADVANCE: Final = 932.0  # of the box that stands for a character the font lacks
_AXIS: Final = 258.0  # height of the axis of STIX Two Math, in thousandths of an em
_RULE_WIDTH: Final = 40.0
_ARRAY: Final = re.compile(r"\\begin\s*\{array\}\s*(\[[tb]\])?[^{]*\{([^{}]*)")
_BOX: Final = re.compile(r"\\(boxed|fbox|bbox)\b")


class CannotTypeset(Exception):
    """A formula that stays source; the message says why."""


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
    _place_array_rules(reader, prepared)
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


class SvgReader:
    """The parts of one SVG, and its measures. Raises CannotTypeset."""

    def __init__(self, svg: str, *, missing_glyph: int) -> None:
        self.parts: list[Part] = []
        self.outlines: dict[int, str] = {}
        self._missing_glyph = missing_glyph
        try:
            root = ET.fromstring(svg)  # noqa: S314 - our own child reads what it wrote itself
        except ET.ParseError as error:
            raise CannotTypeset(str(error)) from error
        left, top, width, height = (float(part) for part in root.attrib["viewBox"].split())
        if left or width < 0 or height < 0 or not _within_extent(width, height, top):
            raise CannotTypeset(f"measures {root.attrib['viewBox']}")
        self.width, self.ascent, self.descent = width, -top, height + top
        for child in root:
            name = child.tag.removeprefix(_SVG)
            if name == "defs":
                self._read_outlines(child)
            elif name == "g":
                self._read_group(child)
            elif name not in {"title", "metadata", "style", "text"}:
                raise CannotTypeset(f"element {name}")
        lengths = [item for part in self.parts for item in part[1:] if isinstance(item, float)]
        if not _within_extent(*lengths):
            raise CannotTypeset("a part that is far away")

    def _read_outlines(self, definitions: ET.Element) -> None:
        for path in definitions:
            glyph = _glyph_of(path.attrib["id"])
            if len(path.attrib["d"]) > MAX_OUTLINE:
                raise CannotTypeset("an outline that is too long")
            if glyph != self._missing_glyph:
                self.outlines[glyph] = path.attrib["d"]

    def _read_group(self, group: ET.Element) -> None:
        for element in group:
            if len(self.parts) >= MAX_PARTS:
                raise CannotTypeset("too many parts")
            attributes, kind = element.attrib, element.tag.removeprefix(_SVG)
            if kind == "g" and "transform" not in attributes:
                self._read_group(element)
            elif kind == "use":
                self._read_glyph(attributes)
            elif kind == "rect" and attributes.get("fill", "currentColor") == "currentColor":
                self._add("rule", attributes, "x", "y", "width", "height")
            elif kind == "line":
                self._add("line", attributes, "x1", "y1", "x2", "y2", "stroke-width")
            else:
                raise CannotTypeset(f"element {kind} with {sorted(attributes)}")

    def _add(self, kind: str, attributes: dict[str, str], *names: str) -> None:
        self.parts.append([kind, *(float(attributes.get(name, "0")) for name in names)])

    def _read_glyph(self, attributes: dict[str, str]) -> None:
        glyph = _glyph_of(attributes["href"])
        x, y = float(attributes.get("x", "0")), float(attributes.get("y", "0"))
        x_scale = y_scale = 1.0
        if "transform" in attributes:
            place = _PLACE.match(attributes["transform"])
            if place is None:
                raise CannotTypeset(f"transform {attributes['transform']}")
            x, y = float(place[1]), float(place[2])
            x_scale = float(place[3] or 1.0)
            y_scale = float(place[4] or x_scale)
        if glyph == self._missing_glyph:
            self.parts.append(["character", "", x, y, _MISSING_ADVANCE * x_scale])
        else:
            self.parts.append(["glyph", glyph, x, y, x_scale, y_scale])


def _within_extent(*lengths: float) -> bool:
    return all(-MAX_EXTENT <= length <= MAX_EXTENT for length in lengths)  # false for NaN too


def _glyph_of(identity: str) -> int:
    found = _GLYPH_ID.search(identity)
    if found is None:
        raise CannotTypeset(f"identity {identity}")
    return int(found[1])


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


def _place_array_rules(reader: SvgReader, source: str) -> None:
    """Put the vertical rules of an `array` where they belong: around the mathematical axis.

    `mathra` 1.5.0 draws a rule for each row at a wrong height. Raises CannotTypeset where it is not
    certain which rules are the array's.
    """
    arrays = _ARRAY.findall(source)
    if not any("|" in columns for _, columns in arrays):
        return
    if len(arrays) > 1 or arrays[0][0] or _BOX.search(source):
        raise CannotTypeset("vertical rules beside another array or a box")
    rows: dict[float, list[tuple[float, ...]]] = {}  # by their places from left to right
    for part in list(reader.parts):
        if part[0] == "rule" and float(part[3]) <= _RULE_WIDTH:
            measures = tuple(map(float, part[1:]))
            reader.parts.remove(part)
            rows.setdefault(measures[0], []).append(measures)
    for x, rules in rows.items():
        _, y, width, above = rules[0]
        height = sum(rule[3] for rule in rules)
        middle = y + above + _AXIS * width / _RULE_WIDTH
        reader.parts.append(["rule", x, middle - height / 2, width, height])


if __name__ == "__main__":
    sys.exit(main())

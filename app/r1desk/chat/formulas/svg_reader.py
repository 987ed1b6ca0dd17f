"""Reads the SVG of our own typesetter into glyphs, rules and lines.

Only the elements that `mathra` writes are known; anything else is an error, so that a formula is
never drawn with a part missing. Lengths are in thousandths of an em, y grows upwards and is zero
on the baseline. The parts are what `formula_layout` in the window validates and paints:

    ["glyph", glyph, x, y, x_scale, y_scale, colour]
    ["character", text, x, y, advance, colour]        the formula's font lacks it
    ["rule", x, y, width, height, colour]
    ["line", x1, y1, x2, y2, width, colour]
    ["shape", outline, stroke_width, colour]          filled where the stroke has no width
"""

import re
from typing import Final
from xml.etree import ElementTree as ET

from r1desk.chat.formulas import MAX_EXTENT, MAX_OUTLINE, MAX_PARTS

Part = list[str | float]

_SVG: Final = "{http://www.w3.org/2000/svg}"
_GLYPH_ID = re.compile(r"-g(\d+)\Z")
_NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"
_PLACE = re.compile(
    rf"translate\({_NUMBER}[ ,]+{_NUMBER}\)(?:\s*scale\({_NUMBER}(?:[ ,]+{_NUMBER})?\))?\Z"
)
_MISSING_ADVANCE: Final = 932.0  # of the box that stands for a character the font lacks
_AXIS: Final = 258.0  # height of the axis of STIX Two Math, in thousandths of an em
_RULE_WIDTH: Final = 40.0
_TOLERANCE: Final = 1.0
_RULED_ARRAY: Final = re.compile(r"\\begin\s*\{array\}\s*(\[[tcb]\]\s*)?\{[^|{}]*\|")
_BOXES: Final = re.compile(r"\\(boxed|fbox|bbox|colorbox|fcolorbox)\b")


class CannotTypeset(Exception):
    """A formula that stays source; the message says why."""


class SvgReader:
    """The parts of one SVG, and its measures. Raises CannotTypeset."""

    def __init__(self, svg: str, *, missing_glyph: int) -> None:
        self.parts: list[Part] = []
        self.outlines: dict[int, str] = {}
        self._missing_glyph = missing_glyph
        try:
            root = ET.fromstring(svg)  # noqa: S314 - see above
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
                self._read_group(child, "")
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

    def _read_group(self, group: ET.Element, colour: str) -> None:
        for element in group:
            if len(self.parts) >= MAX_PARTS:
                raise CannotTypeset("too many parts")
            self._read(element, colour)

    def _read(self, element: ET.Element, inherited: str) -> None:
        attributes = element.attrib
        colour = _colour(attributes.get("fill"), inherited)
        match element.tag.removeprefix(_SVG):
            case "g" if "transform" not in attributes or inherited == "":
                self._read_group(element, colour)
            case "use":
                self._read_glyph(attributes, colour)
            case "rect":
                self.parts.append(
                    ["rule", *_floats(attributes, "x", "y", "width", "height"), colour]
                )
            case "line":
                measures = _floats(attributes, "x1", "y1", "x2", "y2", "stroke-width")
                self.parts.append(["line", *measures, _colour(attributes.get("stroke"), inherited)])
            case "path" if "transform" not in attributes:
                self._read_shape(attributes, inherited)
            case other:
                raise CannotTypeset(f"element {other} with {sorted(attributes)}")

    def _read_shape(self, attributes: dict[str, str], inherited: str) -> None:
        stroked = attributes.get("stroke", "none") != "none"
        colour = _colour(attributes.get("stroke" if stroked else "fill"), inherited)
        width = float(attributes.get("stroke-width", "40")) if stroked else 0.0
        if len(attributes["d"]) > MAX_OUTLINE:
            raise CannotTypeset("an outline that is too long")
        self.parts.append(["shape", attributes["d"], width, colour])

    def _read_glyph(self, attributes: dict[str, str], colour: str) -> None:
        glyph = _glyph_of(attributes["href"])
        x_scale = y_scale = 1.0
        if "transform" in attributes:
            place = _PLACE.match(attributes["transform"])
            if place is None:
                raise CannotTypeset(f"transform {attributes['transform']}")
            x, y = float(place[1]), float(place[2])
            x_scale = float(place[3] or 1.0)
            y_scale = float(place[4] or x_scale)
        else:
            x, y = _floats(attributes, "x", "y")
        if glyph == self._missing_glyph:
            self.parts.append(["character", "", x, y, _MISSING_ADVANCE * x_scale, colour])
        else:
            self.parts.append(["glyph", glyph, x, y, x_scale, y_scale, colour])


def _within_extent(*lengths: float) -> bool:
    return all(-MAX_EXTENT <= length <= MAX_EXTENT for length in lengths)  # false for NaN too


def _glyph_of(identity: str) -> int:
    found = _GLYPH_ID.search(identity)
    if found is None:
        raise CannotTypeset(f"identity {identity}")
    return int(found[1])


def _floats(attributes: dict[str, str], *names: str) -> list[float]:
    return [float(attributes.get(name, "0")) for name in names]


def _colour(given: str | None, inherited: str) -> str:
    if given is None:
        return inherited
    return "" if given == "currentColor" else given


def mend_array_rules(parts: list[Part], source: str) -> None:
    """Move the vertical rules of an `array` to where they belong.

    `mathra` 1.5.0 places the rule of row `i` at `y = base - 2 * above - height`, where `above` is
    the height of the rows above it and `base` the baseline of the whole; it should be
    `top - above - height`, with the top half the table's height over the mathematical axis.
    Raises CannotTypeset where the rules cannot be told from a box.
    """
    found = _RULED_ARRAY.search(source)
    if found is None:
        return
    if found[1] and found[1].strip() != "[c]":
        raise CannotTypeset("rules of an array that is not centred")
    start = 0
    while start < len(parts):
        end = start + 1
        if _is_upright(parts[start]):
            while end < len(parts) and _continues(parts, start, end):
                end += 1
            if end - start == 1 and _BOXES.search(source):
                raise CannotTypeset("an array of one row beside a box")
            _stack(parts[start:end])
        start = end


def _is_upright(part: Part) -> bool:
    return part[0] == "rule" and float(part[3]) <= _RULE_WIDTH < float(part[4])


def _continues(parts: list[Part], start: int, index: int) -> bool:
    """Whether the part at `index` is the rule of the next row of the same table."""
    first, part = parts[start], parts[index]
    if not _is_upright(part) or part[1] != first[1] or part[3] != first[3]:
        return False
    above = sum(float(row[4]) for row in parts[start:index])
    base = float(first[2]) + float(first[4])
    return abs(base - 2 * above - float(part[4]) - float(part[2])) < _TOLERANCE


def _stack(rows: list[Part]) -> None:
    scale = float(rows[0][3]) / _RULE_WIDTH
    base = float(rows[0][2]) + float(rows[0][4])
    top = base + sum(float(row[4]) for row in rows) / 2 + _AXIS * scale
    for row in rows:
        top -= float(row[4])
        row[2] = top

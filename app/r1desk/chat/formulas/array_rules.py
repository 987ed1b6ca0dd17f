"""Moves the vertical rules of an `array` to where they belong.

`mathra` 1.5.0 places the rule of row `i` at `y = base - 2 * above - height`, where `above` is the
height of the rows above it and `base` the baseline of the whole; it should be
`top - above - height`, with the top half the table's height over the mathematical axis.
"""

from __future__ import annotations

import re
from typing import Final

from r1desk.chat.formulas.svg_reader import Part, UnreadableSvg

_AXIS: Final = 258.0  # height of the axis of STIX Two Math, in thousandths of an em
_RULE_WIDTH: Final = 40.0
_TOLERANCE: Final = 1.0
_RULED_ARRAY: Final = re.compile(r"\\begin\s*\{array\}\s*(\[[tcb]\]\s*)?\{[^|{}]*\|")
_BOXES: Final = re.compile(r"\\(boxed|fbox|bbox|colorbox|fcolorbox)\b")


def mend_array_rules(parts: list[Part], source: str) -> None:
    """Move the rules in place. Raises UnreadableSvg where they cannot be told from a box."""
    found = _RULED_ARRAY.search(source)
    if found is None:
        return
    if found[1] and found[1].strip() != "[c]":
        raise UnreadableSvg("rules of an array that is not centred")
    start = 0
    while start < len(parts):
        end = start + 1
        if _is_upright(parts[start]):
            while end < len(parts) and _continues(parts, start, end):
                end += 1
            if end - start == 1 and _BOXES.search(source):
                raise UnreadableSvg("an array of one row beside a box")
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

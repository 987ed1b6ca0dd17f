"""Sets LaTeX with `mathra`, inside the child process.

`mathra` draws what it does not know in red and goes on; here that is a refusal, so that the window
shows the source instead. Characters that its font lacks, Chinese above all, are left to the
window's own fonts.
"""

from __future__ import annotations

import json
import re
from typing import Final

from mathra import _mathra as engine

from r1desk.chat.formulas import MAX_SOURCE, MAX_SPEECH
from r1desk.chat.formulas.svg_reader import SvgReader, UnreadableSvg, mend_array_rules

_MISSING_RULE: Final = "E-REC-8"
_MISSING_TEXT: Final = re.compile(r"\(U\+([0-9A-F]{4,6})\)")
_BLACKBOARD_ONE: Final = re.compile(r"\\mathbb\s*\{1\}|\\mathbb\s*1")
_MAX_WIDTH: Final = 90_000.0  # thousandths of an em; drawn smaller it is just legible
_PLACEHOLDER: Final = "a"  # any character of the font
_MAX_MISSING: Final = 200  # characters of other fonts in one formula


class CannotTypeset(Exception):
    """A formula that stays source; the message is the reason, for a log."""


def typeset(source: str, *, display: bool, language: str) -> dict[str, object]:
    """The layout of a formula as JSON-ready data. Raises CannotTypeset."""
    if len(source) > MAX_SOURCE:
        raise CannotTypeset("too long")
    prepared = _BLACKBOARD_ONE.sub("\U0001d7d9", source)  # `mathra` draws it as plain letters
    result = _render(prepared, language, display=display)
    missing = _missing_characters(result["warnings"])
    try:
        reader = SvgReader(str(result["svg"]), missing_glyph=_missing_glyph())
        mend_array_rules(reader.parts, prepared)
        if missing:
            _place_missing(reader, prepared, missing, display=display)
    except UnreadableSvg as error:
        raise CannotTypeset(str(error)) from error
    if reader.width > _MAX_WIDTH:
        raise CannotTypeset("wider than any column")
    return {
        "width": reader.width,
        "ascent": reader.ascent,
        "descent": reader.descent,
        "parts": reader.parts,
        "outlines": reader.outlines,
        "speech": str(result["speech"])[:MAX_SPEECH],
    }


def _render(source: str, language: str, *, display: bool) -> dict[str, object]:
    try:
        text = engine.render(source, language, display=display, strict=False, input="latex")
    except ValueError as error:
        raise CannotTypeset(str(error)) from error
    result: dict[str, object] = json.loads(text)
    return result


def _missing_characters(warnings: object) -> frozenset[str]:
    """The characters that the font lacks. Raises CannotTypeset for any other warning."""
    missing = set()
    for warning in warnings if isinstance(warnings, list) else []:
        found = _MISSING_TEXT.search(warning["description"])
        if warning["rule"] == _MISSING_RULE and found:
            missing.add(chr(int(found[1], 16)))
        else:
            raise CannotTypeset(warning["description"])
    return frozenset(missing)


def _missing_glyph() -> int:
    """The number of the box that the font draws for what it lacks."""
    if not _boxes:
        svg = SvgReader(_render("\u5982", "en", display=False)["svg"], missing_glyph=-1)  # type: ignore[arg-type]
        _boxes.append(int(svg.parts[0][1]))
    return _boxes[0]


_boxes: list[int] = []


def _place_missing(
    reader: SvgReader, source: str, missing: frozenset[str], *, display: bool
) -> None:
    """Name the character of each box.

    The order of boxes in the drawing is the typesetter's own. Each character gets a number, and
    one more drawing for each bit of it shows which boxes carry that bit: there the character is
    replaced by one that the font has.
    """
    written = [index for index, letter in enumerate(source) if letter in missing]
    places = [index for index, part in enumerate(reader.parts) if part[0] == "character"]
    if len(written) != len(places) or len(written) > _MAX_MISSING:
        raise CannotTypeset("characters that the font lacks are drawn elsewhere")
    numbers = [0] * len(places)
    for bit in range((len(written) - 1).bit_length()):
        letters = list(source)
        for number, index in enumerate(written):
            if number >> bit & 1:
                letters[index] = _PLACEHOLDER
        drawn = SvgReader(
            str(_render("".join(letters), "en", display=display)["svg"]),
            missing_glyph=_missing_glyph(),
        )
        if len(drawn.parts) != len(reader.parts):
            raise CannotTypeset("characters that the font lacks change the formula")
        for position, place in enumerate(places):
            if drawn.parts[place][0] != "character":
                numbers[position] |= 1 << bit
    if sorted(numbers) != list(range(len(places))):
        raise CannotTypeset("characters that the font lacks cannot be told apart")
    for number, place in zip(numbers, places, strict=True):
        reader.parts[place][1] = source[written[number]]

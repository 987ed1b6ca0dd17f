"""Sets LaTeX with `mathra`, inside the child process.

`mathra` draws what it does not know in red and goes on; here that is a refusal, so that the window
shows the source instead. Characters that its font lacks, Chinese above all, are left to the
window's own fonts.
"""

from __future__ import annotations

import json
import re
from functools import cache
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


@cache
def _missing_glyph() -> int:
    """The number of the box that the font draws for what it lacks."""
    svg = str(_render("\u5982", "en", display=False)["svg"])
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
        svg = str(_render(other, "en", display=display)["svg"])
        drawn = SvgReader(svg, missing_glyph=_missing_glyph()).parts
        if len(drawn) != len(reader.parts):
            raise CannotTypeset("characters that the font lacks change the formula")
        named = [place for place in places if drawn[place][0] != "character"]
        if len(named) != 1:
            raise CannotTypeset("characters that the font lacks cannot be told apart")
        reader.parts[named[0]][1] = source[index]

"""A typeset formula in the window: validated measures and parts, kept small.

Lengths are in thousandths of an em; y grows upwards and is zero on the baseline. See `svg_reader`
for the parts.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from r1desk.chat.formulas import MAX_EXTENT, MAX_OUTLINE, MAX_PARTS, MAX_SPEECH

_MAX_GLYPHS: Final = 3_000  # outlines kept for all formulas together

_Length = Annotated[float, Field(ge=-MAX_EXTENT, le=MAX_EXTENT, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, le=MAX_EXTENT, allow_inf_nan=False)]
_Scale = Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)]
_Colour = Annotated[str, StringConstraints(pattern=r"^[#A-Za-z0-9]{0,32}$")]  # "" is the text's
_Outline = Annotated[str, StringConstraints(max_length=MAX_OUTLINE, pattern=r"^[-MLHVCQZe0-9. ]*$")]
_Character = Annotated[str, StringConstraints(min_length=1, max_length=1)]

_Part = (
    tuple[Literal["glyph"], int, _Length, _Length, _Scale, _Scale, _Colour]
    | tuple[Literal["character"], _Character, _Length, _Length, _Size, _Colour]
    | tuple[Literal["rule"], _Length, _Length, _Length, _Length, _Colour]
    | tuple[Literal["line"], _Length, _Length, _Length, _Length, _Size, _Colour]
    | tuple[Literal["shape"], _Outline, _Size, _Colour]
)


class LayoutMessage(BaseModel):
    """A layout as the child process sends it."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    width: _Size
    ascent: _Length
    descent: _Length
    parts: Annotated[list[_Part], Field(max_length=MAX_PARTS)]
    outlines: dict[int, _Outline]
    speech: Annotated[str, StringConstraints(max_length=MAX_SPEECH)]


@dataclass(frozen=True, slots=True)
class FormulaLayout:
    """One formula, ready to be painted in any size and colour."""

    width: float
    ascent: float
    descent: float
    parts: bytes  # JSON: a tenth of the memory of Python's objects
    speech: str

    def decoded_parts(self) -> list[list[Any]]:
        """The parts as `svg_reader` describes them."""
        decoded: list[list[Any]] = json.loads(self.parts)
        return decoded


class GlyphOutlines(dict[int, str]):
    """The outlines of all glyphs seen, shared by the formulas."""

    def add(self, outlines: dict[int, str]) -> bool:
        """Keep `outlines`; False when that is one glyph too many."""
        if len(self) + len(outlines) > _MAX_GLYPHS:
            return False
        for glyph, outline in outlines.items():
            self.setdefault(glyph, outline)
        return True


def kept_layout(message: LayoutMessage, outlines: GlyphOutlines) -> FormulaLayout | None:
    """A layout to keep, its outlines among the others; None where those are too many.

    Raises ValueError for a glyph without an outline.
    """
    if not outlines.add(message.outlines):
        return None
    if any(part[0] == "glyph" and part[1] not in outlines for part in message.parts):
        raise ValueError("a glyph without an outline")
    return FormulaLayout(
        width=message.width,
        ascent=message.ascent,
        descent=message.descent,
        parts=json.dumps(message.parts, separators=(",", ":"), ensure_ascii=False).encode(),
        speech=message.speech,
    )

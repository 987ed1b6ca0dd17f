"""A typeset formula in the window: validated, kept small, and painted as outlines.

Lengths are in thousandths of an em; y grows upwards and is zero on the baseline. See
`formula_worker` for the parts.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from r1desk.chat.formulas import MAX_EXTENT, MAX_OUTLINE, MAX_PARTS, MAX_SPEECH

UNITS: Final = 1_000.0  # of a layout in one em
_MAX_GLYPHS: Final = 3_000  # outlines kept for all formulas together
_SEGMENTS = re.compile(r"([MLCZ])([^MLCZ]*)")
_XY: Final = r"-?[0-9]+(\.[0-9]+)? -?[0-9]+(\.[0-9]+)? ?"
_LEAST_RULE_PX: Final = 1.0  # a thinner fraction bar fades

_Length = Annotated[float, Field(ge=-MAX_EXTENT, le=MAX_EXTENT, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, le=MAX_EXTENT, allow_inf_nan=False)]
_Scale = Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)]
_Outline = Annotated[
    str, StringConstraints(max_length=MAX_OUTLINE, pattern=rf"^([ML]{_XY}|C({_XY}){{3}}|Z ?)*$")
]
_Character = Annotated[str, StringConstraints(min_length=1, max_length=1)]

_Part = (
    tuple[Literal["glyph"], int, _Length, _Length, _Scale, _Scale]
    | tuple[Literal["character"], _Character, _Length, _Length, _Size]
    | tuple[Literal["rule"], _Length, _Length, _Length, _Length]
    | tuple[Literal["line"], _Length, _Length, _Length, _Length, _Size]
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
        decoded: list[list[Any]] = json.loads(self.parts)
        return decoded


class GlyphOutlines(dict[int, str]):
    """The outlines of all glyphs seen, shared by the formulas, which it paints."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: dict[int, QPainterPath] = {}

    def kept_layout(self, message: LayoutMessage) -> FormulaLayout | None:
        """A layout to keep, its outlines among the others; None where those are too many.

        Raises ValueError for a glyph without an outline.
        """
        if len(self) + len(message.outlines) > _MAX_GLYPHS:
            return None
        for glyph, outline in message.outlines.items():
            self.setdefault(glyph, outline)
        if any(part[0] == "glyph" and part[1] not in self for part in message.parts):
            raise ValueError("a glyph without an outline")
        parts = json.dumps(message.parts, separators=(",", ":"), ensure_ascii=False).encode()
        return FormulaLayout(message.width, message.ascent, message.descent, parts, message.speech)

    def paint(  # noqa: PLR0917 - the values of one formula
        self,
        painter: QPainter,
        baseline: QPointF,
        layout: FormulaLayout,
        em_px: float,
        colour: QColor,
        font: QFont,
    ) -> None:
        """Draw a formula from the left end of its baseline, in a colour.

        `font` is for the characters that the font of formulas lacks.
        """
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(baseline)
        scale = em_px / UNITS
        origin = painter.transform()
        for kind, *values in layout.decoded_parts():
            if kind == "glyph":
                glyph, x, y, x_scale, y_scale = values
                painter.translate(x * scale, -y * scale)
                painter.scale(x_scale * scale, -y_scale * scale)
                painter.fillPath(self._path(glyph), colour)
                painter.setTransform(origin)
            elif kind == "rule":
                x, y, width, height = (value * scale for value in values)
                painter.fillRect(_seen(QRectF(x, -y - height, width, height)), colour)
            elif kind == "character":
                text, x, y, advance = values
                fallback = QFont(font)
                fallback.setPixelSize(max(1, round(advance * scale)))
                painter.setFont(fallback)
                painter.setPen(colour)
                painter.drawText(QPointF(x * scale, -y * scale), text)
            else:
                x1, y1, x2, y2, width = (value * scale for value in values)
                painter.setPen(QPen(colour, max(_LEAST_RULE_PX, width)))
                painter.drawLine(QPointF(x1, -y1), QPointF(x2, -y2))
        painter.restore()

    def _path(self, glyph: int) -> QPainterPath:
        path = self._paths.get(glyph)
        if path is None:
            path = self._paths[glyph] = _path_of(self[glyph])
        return path


def _path_of(outline: str) -> QPainterPath:
    """The outline of a glyph, written as in SVG with absolute coordinates, as a path."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    steps: dict[str, Callable[..., None]]
    steps = {"M": path.moveTo, "L": path.lineTo, "C": path.cubicTo, "Z": path.closeSubpath}
    for command, numbers in _SEGMENTS.findall(outline):
        steps[command](*map(float, numbers.split()))
    return path


def _seen(rule: QRectF) -> QRectF:
    """A rule at least as thick as can be seen."""
    more_x = max(0.0, _LEAST_RULE_PX - rule.width()) / 2
    more_y = max(0.0, _LEAST_RULE_PX - rule.height()) / 2
    return rule.adjusted(-more_x, -more_y, more_x, more_y)

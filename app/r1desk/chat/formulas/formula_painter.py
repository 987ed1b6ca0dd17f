"""Paints typeset formulas: outlines filled with the text's colour."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen

from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines

_UNITS: Final = 1_000.0  # of a layout in one em
_SEGMENTS = re.compile(r"([MLHVCQZ])([^MLHVCQZ]*)")
_NUMBER = re.compile(r"-?[\d.]+(?:e-?\d+)?")
_LEAST_RULE_PX: Final = 1.0  # a thinner fraction bar fades


@dataclass(frozen=True, slots=True)
class FormulaStyle:
    """The size, colour and fallback font that a formula is drawn with."""

    em_px: float
    colour: QColor
    font: QFont
    keep_colours: bool = True  # False: high contrast, colours of the source are ignored


class FormulaPainter:
    """Paints layouts whose glyphs are in `outlines`."""

    def __init__(self, outlines: GlyphOutlines) -> None:
        self._outlines = outlines
        self._paths: dict[int, QPainterPath] = {}  # by glyph

    def paint(
        self, painter: QPainter, baseline: QPointF, layout: FormulaLayout, style: FormulaStyle
    ) -> None:
        """Draw `layout` with the left end of its baseline at `baseline`."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(baseline)
        scale = style.em_px / _UNITS
        origin = painter.transform()
        for part in layout.decoded_parts():
            colour = _colour(str(part[-1]), style)
            kind = part[0]
            if kind == "glyph":
                _, glyph, x, y, x_scale, y_scale, _ = part
                painter.translate(x * scale, -y * scale)
                painter.scale(x_scale * scale, -y_scale * scale)
                painter.fillPath(self._path(glyph), colour)
                painter.setTransform(origin)
            elif kind == "rule":
                _paint_rule(painter, part, scale, colour)
            elif kind == "character":
                _paint_character(painter, part, scale, colour, style)
            elif kind == "line":
                _, x1, y1, x2, y2, width, _ = part
                painter.setPen(QPen(colour, max(_LEAST_RULE_PX, width * scale)))
                painter.drawLine(QPointF(x1 * scale, -y1 * scale), QPointF(x2 * scale, -y2 * scale))
            else:
                _, outline, stroke, _ = part
                painter.scale(scale, -scale)
                if stroke:
                    painter.strokePath(path_of(outline), QPen(colour, stroke))
                else:
                    painter.fillPath(path_of(outline), colour)
                painter.setTransform(origin)
        painter.restore()

    def _path(self, glyph: int) -> QPainterPath:
        path = self._paths.get(glyph)
        if path is None:
            path = self._paths[glyph] = path_of(self._outlines[glyph])
        return path


def path_of(outline: str) -> QPainterPath:
    """The outline of a glyph, written as in SVG with absolute coordinates, as a path."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    steps: dict[str, tuple[int, Callable[..., None]]] = {
        "M": (2, path.moveTo),
        "L": (2, path.lineTo),
        "Q": (4, path.quadTo),
        "C": (6, path.cubicTo),
        "H": (1, lambda x: path.lineTo(x, path.currentPosition().y())),
        "V": (1, lambda y: path.lineTo(path.currentPosition().x(), y)),
    }
    for command, rest in _SEGMENTS.findall(outline):
        if command == "Z":
            path.closeSubpath()
            continue
        size, draw = steps[command]
        numbers = [float(number) for number in _NUMBER.findall(rest)]
        for at in range(0, len(numbers) - size + 1, size):
            draw(*numbers[at : at + size])
            draw = path.lineTo if command == "M" else draw
    return path


def _paint_rule(painter: QPainter, part: list[float], scale: float, colour: QColor) -> None:
    _, x, y, width, height, _ = part
    box = QRectF(x * scale, -(y + height) * scale, width * scale, height * scale)
    if box.height() < _LEAST_RULE_PX:
        box = QRectF(box.x(), box.center().y() - _LEAST_RULE_PX / 2, box.width(), _LEAST_RULE_PX)
    if box.width() < _LEAST_RULE_PX:
        box = QRectF(box.center().x() - _LEAST_RULE_PX / 2, box.y(), _LEAST_RULE_PX, box.height())
    painter.fillRect(box, colour)


def _paint_character(
    painter: QPainter, part: list[float], scale: float, colour: QColor, style: FormulaStyle
) -> None:
    _, text, x, y, advance, _ = part
    font = QFont(style.font)
    font.setPixelSize(max(1, round(advance * scale)))
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(QPointF(x * scale, -y * scale), str(text))


def _colour(wanted: str, style: FormulaStyle) -> QColor:
    if wanted and style.keep_colours:
        colour = QColor.fromString(wanted)
        if colour.isValid():
            return colour
    return style.colour

"""Paints typeset formulas: outlines filled with the text's colour, kept as pixmaps for a while."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QPaintEngine, QPainter, QPainterPath, QPen, QPixmap

from r1desk.chat.formulas.formula_layout import (
    LINE_GAP,
    LINE_INDENT,
    FormulaLayout,
    GlyphOutlines,
    Span,
)

_UNITS: Final = 1_000.0  # of a layout in one em
_CACHE_BYTES: Final = 6 << 20  # of pixmaps
_LARGEST_PIXMAP: Final = 2 << 20  # bytes; a larger formula is painted from its outlines each time
_MAX_PATHS: Final = 300  # glyphs whose outline is kept as a path
_TOKEN = re.compile(r"[MLHVCQZ]|-?[\d.]+(?:e-?\d+)?")
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
        self._paths: OrderedDict[int, QPainterPath] = OrderedDict()
        self._pixmaps: OrderedDict[tuple[object, ...], QPixmap] = OrderedDict()
        self._bytes = 0

    def paint(
        self,
        painter: QPainter,
        baseline: QPointF,
        layout: FormulaLayout,
        style: FormulaStyle,
        lines: tuple[Span, ...] = (),
    ) -> None:
        """Draw `layout` with the left end of its (first) baseline at `baseline`."""
        lines = lines or ((0.0, layout.width),)
        ratio = painter.device().devicePixelRatioF()
        engine = painter.paintEngine()
        on_paper = engine is not None and engine.type() is QPaintEngine.Type.Pdf
        pixmap = None if on_paper else self._pixmap(layout, style, lines, ratio)
        if pixmap is None:
            painter.save()
            painter.translate(baseline)
            self._paint_lines(painter, layout, style, lines)
            painter.restore()
            return
        margin = _margin(style)
        corner = baseline - QPointF(margin, _above(layout, style) + margin)
        # On whole pixels of the device: a pixmap between them is blurred.
        painter.drawPixmap(
            QPointF(round(corner.x() * ratio) / ratio, round(corner.y() * ratio) / ratio), pixmap
        )

    def clear_pixmaps(self) -> None:
        """Free the pixmaps, for instance after a change of theme."""
        self._pixmaps.clear()
        self._bytes = 0

    @property
    def pixmap_bytes(self) -> int:
        """The memory that the kept pixmaps take."""
        return self._bytes

    def _pixmap(
        self, layout: FormulaLayout, style: FormulaStyle, lines: tuple[Span, ...], ratio: float
    ) -> QPixmap | None:
        key = (layout.parts, lines, style.em_px, style.colour.rgba(), style.font.key(), ratio)
        pixmap = self._pixmaps.get(key)
        if pixmap is not None:
            self._pixmaps.move_to_end(key)
            return pixmap
        margin = _margin(style)
        above = _above(layout, style) + margin
        scale = style.em_px / _UNITS
        units = lines_size(layout, lines)
        width = math.ceil((units.width() * scale + 2 * margin) * ratio)
        height = math.ceil((units.height() * scale + 2 * margin) * ratio)
        size = width * height * 4
        if size > _LARGEST_PIXMAP:
            return None
        pixmap = QPixmap(width, height)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.translate(margin, above)
        self._paint_lines(painter, layout, style, lines)
        painter.end()
        self._pixmaps[key] = pixmap
        self._bytes += size
        while self._bytes > _CACHE_BYTES:
            _, old = self._pixmaps.popitem(last=False)
            self._bytes -= old.width() * old.height() * 4
        return pixmap

    def _paint_lines(
        self,
        painter: QPainter,
        layout: FormulaLayout,
        style: FormulaStyle,
        lines: tuple[Span, ...],
    ) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        scale = style.em_px / _UNITS
        parts = layout.decoded_parts()
        if len(lines) == 1:
            self._paint_parts(painter, parts, style)
            return
        for number, (start, end) in enumerate(lines):
            low = start if number else -math.inf
            high = end if number < len(lines) - 1 else math.inf
            painter.save()
            indent = LINE_INDENT if number else 0.0
            down = number * (layout.ascent + layout.descent + LINE_GAP)
            painter.translate((indent - start) * scale, down * scale)
            inside = [part for part in parts if low <= _start(part) < high]
            self._paint_parts(painter, inside, style)
            painter.restore()

    def _paint_parts(self, painter: QPainter, parts: list[list[Any]], style: FormulaStyle) -> None:
        scale = style.em_px / _UNITS
        origin = painter.transform()
        for part in parts:
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

    def _path(self, glyph: int) -> QPainterPath:
        path = self._paths.get(glyph)
        if path is None:
            path = self._paths[glyph] = path_of(self._outlines[glyph])
            if len(self._paths) > _MAX_PATHS:
                self._paths.popitem(last=False)
        else:
            self._paths.move_to_end(glyph)
        return path


def lines_size(layout: FormulaLayout, lines: tuple[Span, ...]) -> QSizeF:
    """The size of a formula in lines, in thousandths of an em."""
    widths = [
        end - start + (LINE_INDENT if number else 0.0) for number, (start, end) in enumerate(lines)
    ]
    line = max(0.0, layout.ascent) + max(0.0, layout.descent)
    return QSizeF(max(widths), len(lines) * line + (len(lines) - 1) * LINE_GAP)


def _start(part: list[Any]) -> float:
    """The distance of a part from the left end of the formula."""
    return float(part[2 if part[0] in {"glyph", "character"} else 1])


def path_of(outline: str) -> QPainterPath:
    """The outline of a glyph, written as in SVG with absolute coordinates, as a path."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.WindingFill)
    tokens = iter(_TOKEN.findall(outline))
    command = ""
    for token in tokens:
        if token.isalpha():
            command = token
            if command == "Z":
                path.closeSubpath()
                continue
            first = float(next(tokens))
        else:
            first = float(token)
        _add_segment(path, command, first, tokens)
        command = "L" if command == "M" else command
    return path


def _add_segment(path: QPainterPath, command: str, first: float, rest: Iterator[str]) -> None:
    if command == "H":
        path.lineTo(first, path.currentPosition().y())
        return
    if command == "V":
        path.lineTo(path.currentPosition().x(), first)
        return
    count = {"M": 2, "L": 2, "Q": 4, "C": 6}[command]
    numbers = [first, *(float(next(rest)) for _ in range(count - 1))]
    if command == "M":
        path.moveTo(*numbers)
    elif command == "L":
        path.lineTo(*numbers)
    elif command == "Q":
        path.quadTo(*numbers)
    else:
        path.cubicTo(*numbers)


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


def _above(layout: FormulaLayout, style: FormulaStyle) -> float:
    return max(0.0, layout.ascent) * style.em_px / _UNITS


def _margin(style: FormulaStyle) -> float:
    """Room around for what reaches over its measures: slanted letters, round ends of lines."""
    return style.em_px * 0.15

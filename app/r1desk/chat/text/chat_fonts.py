"""Fonts of the chat, derived from the application's."""

from __future__ import annotations

from PySide6.QtGui import QFont

from r1desk.theme.fonts import mono_font

ASIDE_SCALE = 0.92
_MONO_SCALE = 0.94  # fixed-width families look larger than others of the same size


def mono(font: QFont) -> QFont:
    """The code font that goes with `font`."""
    return mono_font(points(font) * _MONO_SCALE)


def scaled(font: QFont, factor: float) -> QFont:
    """`font` larger or smaller."""
    result = QFont(font)
    if font.pointSizeF() > 0:
        result.setPointSizeF(font.pointSizeF() * factor)
    else:
        result.setPixelSize(max(1, round(font.pixelSize() * factor)))
    return result


def points(font: QFont) -> float:
    """The size of `font` in points, also where it was set in pixels."""
    return font.pointSizeF() if font.pointSizeF() > 0 else font.pixelSize() * 0.75

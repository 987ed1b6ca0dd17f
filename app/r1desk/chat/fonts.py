"""Fonts of the chat, derived from the application's."""

from __future__ import annotations

from functools import cache

from PySide6.QtGui import QFont, QFontDatabase

ASIDE_SCALE = 0.92


@cache
def mono_family() -> str:
    """The system's family for code."""
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()


def mono(font: QFont) -> QFont:
    """The code font in the size of `font`."""
    result = QFont(font)
    result.setFamilies([mono_family(), *font.families()])
    result.setStyleHint(QFont.StyleHint.Monospace)
    result.setFixedPitch(True)
    return result


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

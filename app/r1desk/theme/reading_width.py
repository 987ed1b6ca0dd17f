"""The width of the column of text that the user chose."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtGui import QGuiApplication

_PROPERTY = "r1desk_reading_width"


class ReadingWidth(StrEnum):
    """The width of a line of a conversation."""

    NARROW = "narrow"
    NORMAL = "normal"
    WIDE = "wide"


_FACTORS = {ReadingWidth.NARROW: 0.8, ReadingWidth.NORMAL: 1.0, ReadingWidth.WIDE: 1.45}


def set_reading_width(width: ReadingWidth) -> None:
    """Put `width` in force; what is on the screen follows when it is laid out again."""
    app = QGuiApplication.instance()
    if app is not None:
        app.setProperty(_PROPERTY, width.value)


def reading_width_factor() -> float:
    """The chosen width as a multiple of the usual one."""
    app = QGuiApplication.instance()
    chosen = app.property(_PROPERTY) if app is not None else None
    return _FACTORS[ReadingWidth(chosen)] if chosen else 1.0

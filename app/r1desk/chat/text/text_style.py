"""Colours, font and measures of the chat's text: those of the theme in force, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, Self

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QTextCharFormat
from PySide6.QtWidgets import QLabel

from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.platform.qt_application import application
from r1desk.theme.fonts import mono, scaled
from r1desk.theme.theme import tokens
from r1desk.theme.tokens import HIGH_CONTRAST, Tokens

ASIDE_SCALE = 0.92
_READABLE_EM = 44.0
_READABLE_PX = 760
_LEAST_PX = 120
_MARGIN_EM = 1.2  # wider than a scroll bar
_WIDTH_PROPERTY = "r1desk_reading_width"


class ReadingWidth(StrEnum):
    """The width of a line of a conversation, the user's choice."""

    NARROW = "narrow"
    NORMAL = "normal"
    WIDE = "wide"


_FACTORS = {ReadingWidth.NARROW: 0.8, ReadingWidth.NORMAL: 1.0, ReadingWidth.WIDE: 1.45}


def set_reading_width(width: ReadingWidth) -> None:
    """Put `width` in force; what is on the screen follows when it is laid out again."""
    application().setProperty(_WIDTH_PROPERTY, width.value)


def column_span(whole_px: int, em_px: float) -> tuple[int, int]:
    """Left edge and width of the column of text in a view of `whole_px`, in pixels.

    Messages, the greeting and the box one writes in share it, so that their edges are one line.
    """
    chosen = application().property(_WIDTH_PROPERTY) or ReadingWidth.NORMAL
    readable = round(max(_READABLE_PX, em_px * _READABLE_EM) * _FACTORS[ReadingWidth(chosen)])
    width = max(_LEAST_PX, min(readable, whole_px - 2 * round(em_px * _MARGIN_EM)))
    return max(0, (whole_px - width) // 2), width


@dataclass(frozen=True, slots=True)
class ChatColours:
    """Every colour the chat paints with."""

    background: QColor
    text: QColor
    dim: QColor  # thinking, footers, hints
    edge: QColor  # quiet lines around boxes
    bubble: QColor  # behind a user's message
    code_background: QColor
    code_text: QColor
    code_keyword: QColor
    code_string: QColor
    code_number: QColor
    code_comment: QColor
    code_name: QColor
    code_error: QColor
    inline_background: QColor
    link: QColor
    accent: QColor
    hover: QColor
    error_background: QColor
    error_edge: QColor
    track: QColor  # the empty part of a progress bar
    high_contrast: bool


def chat_colours() -> ChatColours:
    """The colours in force."""
    return colours_of(tokens())


@cache
def colours_of(theme: Tokens) -> ChatColours:
    """The chat's colours in a theme."""
    pure = theme is HIGH_CONTRAST  # which has no half-tones
    names = [field.name for field in fields(ChatColours) if hasattr(theme, field.name)]
    own: dict[str, Any] = {
        "background": QColor(theme.surface),
        "dim": QColor(theme.text_dim),
        "edge": QColor(theme.border),
        "inline_background": _mixed(theme.surface, theme.text, 0.2 if pure else 0.07),
        "error_background": _mixed(theme.surface, theme.danger, 0.0 if pure else 0.08),
        "error_edge": _mixed(theme.surface, theme.danger, 1.0 if pure else 0.55),
        "high_contrast": pure,
    }
    return ChatColours(**{name: QColor(getattr(theme, name)) for name in names} | own)


def _mixed(base: str, over: str, share: float) -> QColor:
    """`base` with `share` of `over`."""
    below, above = QColor(base), QColor(over)
    return QColor.fromRgbF(
        below.redF() + (above.redF() - below.redF()) * share,
        below.greenF() + (above.greenF() - below.greenF()) * share,
        below.blueF() + (above.blueF() - below.blueF()) * share,
    )


@dataclass(frozen=True, slots=True)
class TextStyle:
    """The colours, the fonts, and whether the text is an aside (the thinking)."""

    colours: ChatColours
    font: QFont
    mono: QFont  # of code; asking the system for it takes longer than setting a paragraph
    em_px: float  # height of a line of `font`; all spacing is measured in it
    formulas: FormulaService | None  # None: formulas are shown as their source
    aside: bool
    sources: Mapping[int, str] | None = None  # what "[1]" cites and its name; None: it is text

    @classmethod
    def of(
        cls,
        font: QFont,
        formulas: FormulaService | None = None,
        colours: ChatColours | None = None,
        *,
        aside: bool = False,
    ) -> Self:
        """The style that goes with a font; in the colours in force, where none are given."""
        em_px = QFontMetricsF(font).height()
        return cls(colours or chat_colours(), QFont(font), mono(font), em_px, formulas, aside)

    def dress(self, label: QLabel, *, scale: float = 1.0, dim: bool = True) -> None:
        """Let a label of plain text have this font and colour."""
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(scaled(self.font, scale))
        palette = label.palette()
        colour = self.colours.dim if dim else self.colours.text
        palette.setColor(palette.ColorRole.WindowText, colour)
        label.setPalette(palette)

    def as_aside(self) -> Self:
        font = scaled(self.font, ASIDE_SCALE)
        return self.of(font, self.formulas, self.colours, aside=True)

    def set_mono(self, fmt: QTextCharFormat) -> None:
        fmt.setFontFamilies(self.mono.families())
        fmt.setFontPointSize(self.mono.pointSizeF())

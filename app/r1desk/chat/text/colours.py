"""The chat's colours, worked out from the palette in force so that any theme stays legible.

What a palette has no role for comes from the nearest of our own themes (`theme.tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from PySide6.QtGui import QColor, QPalette

from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT

_TEXT_CONTRAST = 4.5  # WCAG AA for text
_EDGE_CONTRAST = 3.0  # WCAG AA for the edges of controls
_PURE_CONTRAST = 20.5  # white on black and nothing softer: a high-contrast palette

_remembered: dict[int, Any] = {}  # the last palette's colours, by its `cacheKey`


@dataclass(frozen=True, slots=True)
class ChatColours:
    """Every colour the chat paints with. Texts keep a contrast of 4.5 on what they lie on."""

    background: QColor
    text: QColor
    dim: QColor  # thinking, footers, hints
    edge: QColor  # quiet lines around boxes
    bubble: QColor  # behind a user's message
    bubble_text: QColor
    code_background: QColor
    code_header: QColor
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
    accent_text: QColor
    hover: QColor
    error_background: QColor
    error_edge: QColor
    error_text: QColor
    warning_text: QColor
    track: QColor  # the empty part of a progress bar
    high_contrast: bool
    dark: bool

    @classmethod
    def from_palette(cls, palette: QPalette) -> Self:
        """The colours that go with `palette`; those of the last one are remembered."""
        key = palette.cacheKey()
        if key not in _remembered:  # every widget of ours asks at every painting
            _remembered.clear()
            _remembered[key] = cls._worked_out(palette)
        return _remembered[key]

    @classmethod
    def _worked_out(cls, palette: QPalette) -> Self:
        role = QPalette.ColorRole
        background = palette.color(role.Base)
        text = legible(palette.color(role.Text), background)
        dark = luminance(background) < luminance(text)
        pure = dark and contrast(text, background) >= _PURE_CONTRAST
        accent = palette.color(role.Accent)
        code = mixed(background, text, 0.0 if pure else 0.045)
        bubble = background if pure else mixed(background, accent, 0.13)
        theme = HIGH_CONTRAST if pure else DARK if dark else LIGHT
        danger = QColor(theme.danger)
        return cls(
            background=background,
            text=text,
            dim=text if pure else legible(mixed(text, background, 0.36), background),
            edge=text if pure else mixed(background, text, 0.14),
            bubble=bubble,
            bubble_text=legible(text, bubble),
            code_background=code,
            code_header=mixed(code, text, 0.0 if pure else 0.035),
            code_text=legible(text, code),
            code_keyword=legible(QColor(theme.code_keyword), code),
            code_string=legible(QColor(theme.code_string), code),
            code_number=legible(QColor(theme.code_number), code),
            code_comment=legible(QColor(theme.code_comment), code),
            code_name=legible(QColor(theme.code_name), code),
            code_error=legible(QColor(theme.code_error), code),
            inline_background=mixed(background, text, 0.2 if pure else 0.07),
            link=legible(palette.color(role.Link), background),
            accent=legible(accent, background, _EDGE_CONTRAST),
            accent_text=legible(palette.color(role.HighlightedText), accent),
            hover=mixed(background, text, 0.25 if pure else 0.08),
            error_background=mixed(background, danger, 0.0 if pure else 0.08),
            error_text=legible(danger, background),
            warning_text=legible(QColor(theme.warning), background),
            error_edge=danger if pure else mixed(background, danger, 0.55),
            track=mixed(background, text, 0.3 if pure else 0.14),
            high_contrast=pure,
            dark=dark,
        )


def mixed(base: QColor, over: QColor, share: float) -> QColor:
    """`base` with `share` of `over`, opaque."""
    return QColor.fromRgbF(
        base.redF() + (over.redF() - base.redF()) * share,
        base.greenF() + (over.greenF() - base.greenF()) * share,
        base.blueF() + (over.blueF() - base.blueF()) * share,
    )


def luminance(colour: QColor) -> float:
    """Relative luminance after WCAG 2, 0 to 1."""

    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    return (
        0.2126 * linear(colour.redF())
        + 0.7152 * linear(colour.greenF())
        + 0.0722 * linear(colour.blueF())
    )


def contrast(one: QColor, other: QColor) -> float:
    """Contrast ratio after WCAG 2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def legible(colour: QColor, background: QColor, ratio: float = _TEXT_CONTRAST) -> QColor:
    """`colour`, moved towards black or white until it stands out from `background` by `ratio`."""
    pole = QColor("#ffffff" if luminance(background) < 0.18 else "#000000")
    for step in range(11):
        candidate = mixed(colour, pole, step / 10)
        if contrast(candidate, background) >= ratio:
            return candidate
    return pole

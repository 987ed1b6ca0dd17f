"""The chat's colours: those of the theme in force, and mixtures of them."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from PySide6.QtGui import QColor

from r1desk.theme.theme import tokens
from r1desk.theme.tokens import HIGH_CONTRAST, Tokens


@dataclass(frozen=True, slots=True)
class ChatColours:
    """Every colour the chat paints with."""

    background: QColor
    text: QColor
    dim: QColor  # thinking, footers, hints
    edge: QColor  # quiet lines around boxes
    bubble: QColor  # behind a user's message
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
        "code_header": _mixed(theme.code_background, theme.text, 0.0 if pure else 0.035),
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

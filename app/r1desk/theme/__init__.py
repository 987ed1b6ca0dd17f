"""The look of the window: three themes, their colours by meaning, fonts and icons."""

from __future__ import annotations

from r1desk.theme.icons import app_icon, icon
from r1desk.theme.stylesheet import explain, set_role
from r1desk.theme.theme import ThemeChoice, apply_theme, tokens
from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT, Tokens

__all__ = [
    "DARK",
    "HIGH_CONTRAST",
    "LIGHT",
    "ThemeChoice",
    "Tokens",
    "app_icon",
    "apply_theme",
    "explain",
    "icon",
    "set_role",
    "tokens",
]

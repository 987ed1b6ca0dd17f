"""The look of the window: three themes, their colours by meaning, fonts and icons."""

from __future__ import annotations

from r1desk.theme.fonts import mono_font, ui_font
from r1desk.theme.icons import app_icon, icon, icon_names, pixmap
from r1desk.theme.stylesheet import set_role
from r1desk.theme.theme import Theme, ThemeChoice, apply_theme, current_theme, tokens
from r1desk.theme.tips import explain
from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT, Tokens

__all__ = [
    "DARK",
    "HIGH_CONTRAST",
    "LIGHT",
    "Theme",
    "ThemeChoice",
    "Tokens",
    "app_icon",
    "apply_theme",
    "current_theme",
    "explain",
    "icon",
    "icon_names",
    "mono_font",
    "pixmap",
    "set_role",
    "tokens",
    "ui_font",
]

"""The look of the window: three themes, their colours by meaning, fonts and icons."""

from r1desk.theme.icons import app_icon, icon
from r1desk.theme.theme import ThemeChoice, apply_theme, explain, set_role, tokens

__all__ = ["ThemeChoice", "app_icon", "apply_theme", "explain", "icon", "set_role", "tokens"]

"""A theme's colours as the palette that Fusion draws with."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette

from r1desk.theme.tokens import Tokens

_Role = QPalette.ColorRole


def palette(tokens: Tokens) -> QPalette:
    """The QPalette of `tokens`, disabled and inactive groups included."""
    colours = {
        _Role.Window: tokens.background,
        _Role.WindowText: tokens.text,
        _Role.Base: tokens.surface,
        _Role.AlternateBase: tokens.raised,
        _Role.Text: tokens.text,
        _Role.PlaceholderText: tokens.text_dim,
        _Role.Button: tokens.raised,
        _Role.ButtonText: tokens.text,
        _Role.BrightText: tokens.danger,
        _Role.ToolTipBase: tokens.raised,
        _Role.ToolTipText: tokens.text,
        _Role.Highlight: tokens.selection,
        _Role.HighlightedText: tokens.selection_text,
        _Role.Accent: tokens.accent,
        _Role.Link: tokens.link,
        _Role.LinkVisited: tokens.link,
        _Role.Light: tokens.hover,
        _Role.Midlight: tokens.hover,
        _Role.Mid: tokens.border,
        _Role.Dark: tokens.outline,
        _Role.Shadow: tokens.outline,
    }
    result = QPalette()
    for role, colour in colours.items():
        result.setColor(role, QColor(colour))
    for role in (_Role.WindowText, _Role.Text, _Role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(tokens.text_disabled))
    result.setColor(QPalette.ColorGroup.Disabled, _Role.Highlight, QColor(tokens.track))
    result.setColor(QPalette.ColorGroup.Disabled, _Role.Accent, QColor(tokens.track))
    return result

"""Colours of exported documents, which do not depend on the window's theme."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette

from r1desk.chat.text.colours import ChatColours

CODE_CLASSES = {
    "code_keyword": "k",
    "code_string": "s",
    "code_number": "n",
    "code_comment": "c",
    "code_name": "f",
    "code_error": "e",
}


def paper_palette(*, dark: bool = False) -> QPalette:
    """Black on white, or white on black."""
    palette = QPalette()
    role = QPalette.ColorRole
    palette.setColor(role.Base, QColor("#14171c" if dark else "#ffffff"))
    palette.setColor(role.Text, QColor("#e8eaee" if dark else "#16191d"))
    palette.setColor(role.Accent, QColor("#8fb4ff" if dark else "#1f5fd0"))
    palette.setColor(role.Link, QColor("#8fb4ff" if dark else "#1f5fd0"))
    palette.setColor(role.HighlightedText, QColor("#14171c" if dark else "#ffffff"))
    return palette


def code_style(*, dark: bool) -> str:
    """CSS rules with the colours of code."""
    colours = ChatColours.from_palette(paper_palette(dark=dark))
    return " ".join(
        f".{name} {{ color: {getattr(colours, field).name()}; }}"
        for field, name in CODE_CLASSES.items()
    )

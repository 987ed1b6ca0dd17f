"""The chat's colours are legible on any palette."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor, QPalette
from pytestqt.qtbot import QtBot

from r1desk.chat.text.colours import ChatColours, contrast
from r1desk.theme.theme import palette
from r1desk.theme.tokens import DARK, HIGH_CONTRAST, LIGHT, Tokens


def odd_palette() -> QPalette:
    """Text and paper nearly alike."""
    result = QPalette()
    for role in (QPalette.ColorRole.Base, QPalette.ColorRole.Text, QPalette.ColorRole.Link):
        result.setColor(role, QColor("#808890"))
    return result


@pytest.mark.parametrize("kind", ["light", "dark", "contrast", "odd"])
def test_texts_stand_out(kind: str, qtbot: QtBot) -> None:
    themes = {"light": LIGHT, "dark": DARK, "contrast": HIGH_CONTRAST}
    colours = ChatColours.from_palette(palette(themes[kind]) if kind in themes else odd_palette())
    pairs = [
        (colours.text, colours.background),
        (colours.dim, colours.background),
        (colours.link, colours.background),
        (colours.bubble_text, colours.bubble),
        *(
            (getattr(colours, f"code_{name}"), colours.code_background)
            for name in ("text", "keyword", "string", "number", "comment", "name", "error")
        ),
    ]
    for ink, paper in pairs:
        assert contrast(ink, paper) >= 4.45, (ink.name(), paper.name())


@pytest.mark.parametrize("theme", [LIGHT, DARK, HIGH_CONTRAST], ids=lambda theme: theme.name)
def test_the_chat_has_the_themes_own_colours(theme: Tokens, qtbot: QtBot) -> None:
    colours = ChatColours.from_palette(palette(theme))
    assert colours.warning_text.name() == theme.warning
    assert colours.error_text.name() == theme.danger
    for name in ("keyword", "string", "number", "comment", "name", "error"):
        assert getattr(colours, f"code_{name}").name() == getattr(theme, f"code_{name}")


def test_only_the_high_contrast_theme_counts_as_one(qtbot: QtBot) -> None:
    assert ChatColours.from_palette(palette(HIGH_CONTRAST)).high_contrast
    assert not ChatColours.from_palette(palette(DARK)).high_contrast
    assert not ChatColours.from_palette(palette(LIGHT)).high_contrast

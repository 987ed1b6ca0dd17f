"""LaTeX that is not, or not yet, drawn as a formula. Slim: the rest is for the first formula."""

from __future__ import annotations

from typing import Final

from PySide6.QtGui import QBrush, QTextCharFormat, QTextCursor, QTextFormat

from r1desk.chat.text import display_text
from r1desk.chat.text.text_style import TextStyle
from r1desk.theme.fonts import mono

FORMULA_OBJECT: Final = QTextFormat.ObjectTypes.UserObject.value + 1  # type of an object's format


def insert_source(
    cursor: QTextCursor, text: str, fmt: QTextCharFormat, style: TextStyle, *, joined: bool = False
) -> None:
    """Insert LaTeX that is not drawn as a formula: quiet, in the font of code, every sign kept.

    With `joined` its lines become one, about as high as the formula that is to come.
    """
    text = " ".join(text.split("\n")) if joined else text
    quiet = QTextCharFormat(fmt)
    code = mono(style.font)
    quiet.setFontFamilies(code.families())
    quiet.setFontPointSize(code.pointSizeF())
    quiet.setForeground(QBrush(style.colours.dim))
    cursor.insertText(
        display_text.breakable(display_text.code(text)).replace("\n", display_text.LINE), quiet
    )

"""The colours of code, found with Pygments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound
from PySide6.QtGui import QColor

from r1desk.chat.colours import ChatColours

_KINDS: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "code_comment"),
    (Keyword, "code_keyword"),
    (Operator.Word, "code_keyword"),
    (String, "code_string"),
    (Number, "code_number"),
    (Name.Function, "code_name"),
    (Name.Class, "code_name"),
    (Name.Builtin, "code_name"),
    (Name.Decorator, "code_name"),
    (Name.Tag, "code_keyword"),
    (Name.Attribute, "code_name"),
    (Error, "code_error"),
)


@cache
def lexer_for(language: str) -> Lexer | None:
    """Pygments' lexer for a fence's language word, or None if it knows none."""
    try:
        return get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except (ClassNotFound, ValueError):
        return None


@cache
def _field(token: _TokenType) -> str | None:
    return next((field for kind, field in _KINDS if token in kind), None)


def coloured(code: str, language: str, colours: ChatColours) -> Iterator[tuple[int, int, QColor]]:
    """Runs of `code` that are not in the plain colour: start, length, colour."""
    lexer = lexer_for(language)
    if lexer is None:
        return
    for start, token, value in lexer.get_tokens_unprocessed(code):
        field = _field(token)
        if field and value:
            yield start, len(value), getattr(colours, field)

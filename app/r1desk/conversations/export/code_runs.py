"""Code cut into runs of one colour, a little at a time."""

from __future__ import annotations

from collections.abc import Callable

from pygments.lexer import Lexer

from r1desk.chat.text.colours import ChatColours
from r1desk.chat.text.highlight import coloured, prepared_lexer

Run = tuple[str, str]  # text, and the name of its colour: "" is the plain one
_STEP = 200  # runs between two pauses


def code_runs(
    code: str, language: str, colours: ChatColours, pause: Callable[[], None]
) -> list[Run]:
    """The runs of `code`; `pause` is called in between."""
    lexer = _lexer(language, pause) if language else None
    if lexer is None:
        return [(code, "")]
    runs: list[Run] = []
    done = 0
    for number, (start, length, colour) in enumerate(coloured(code, lexer, colours)):
        if start > done:
            runs.append((code[done:start], ""))
        runs.append((code[start : start + length], colour.name()))
        done = start + length
        if number % _STEP == 0:
            pause()
    runs.append((code[done:], ""))
    return runs


def _lexer(language: str, pause: Callable[[], None]) -> Lexer | None:
    steps = prepared_lexer(language)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Lexer | None = end.value
            return found
        pause()

"""Code cut into runs of one colour, a little at a time."""

from __future__ import annotations

from collections.abc import Generator

from r1desk.chat.widgets.colours import ChatColours
from r1desk.chat.widgets.highlight import coloured, prepared_lexer

Run = tuple[str, str]  # text, and the name of its colour: "" is the plain one
_STEP = 200  # runs between two pauses


def code_runs(code: str, language: str, colours: ChatColours) -> Generator[None, None, list[Run]]:
    """The runs of `code`, as this generator's value; it pauses so that others may work."""
    lexer = None
    if language:
        lexer = yield from prepared_lexer(language)
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
            yield
    runs.append((code[done:], ""))
    return runs

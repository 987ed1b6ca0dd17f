r"""Finds where a long formula may go on in another line: before relations, else before sums.

Only places outside of braces, `\left … \right` and environments count, so that everything before
such a place is a formula of its own.
"""

from __future__ import annotations

import re
from typing import Final

_RELATIONS: Final = frozenset({
    "=", "<", ">", "\\approx", "\\equiv", "\\ge", "\\geq", "\\iff", "\\implies", "\\in", "\\le",
    "\\Leftrightarrow", "\\leq", "\\ne", "\\neq", "\\propto", "\\quad", "\\qquad", "\\Rightarrow",
    "\\sim", "\\simeq", "\\therefore", "\\to", "\\rightarrow", "\\Longrightarrow",
})  # fmt: skip
_OPERATORS: Final = frozenset({"+", "-", "\\cdot", "\\times", "\\pm", "\\cup", "\\cap", "\\vee"})
_OPENING: Final = frozenset({"{", "\\left", "\\begin", "(", "["})
_CLOSING: Final = frozenset({"}", "\\right", "\\end", ")", "]"})
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_MAX_PLACES: Final = 40


def break_places(source: str) -> list[int]:
    """Indices in `source` before which a line may end, at most forty."""
    depth = 0
    relations: list[int] = []
    operators: list[int] = []
    before = ""  # the last token that is not blank
    for found in _TOKEN.finditer(source):
        token = found.group()
        if token.isspace():
            continue
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        elif depth == 0 and before and before not in {"_", "^", "\\not"}:
            if token in _RELATIONS and before not in _RELATIONS:
                relations.append(found.start())
            elif token in _OPERATORS and before not in _RELATIONS | _OPERATORS:
                operators.append(found.start())
        before = token
    places = sorted(relations + operators)
    return places if len(places) <= _MAX_PLACES else relations[:_MAX_PLACES]

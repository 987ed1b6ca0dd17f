"""Lexers of code are compiled in steps."""

from __future__ import annotations

import re
from itertools import pairwise

from pygments.lexers import find_lexer_class_by_name

from r1desk.chat.text.highlight import prepared_lexer


def prepared(language, compiled=()):
    """The lexer, and the number of `compiled` after each step; nothing was compiled before."""
    kind = find_lexer_class_by_name(language)
    for name in ("_tokens", "_all_tokens"):
        if name in vars(kind):
            delattr(kind, name)
    re.purge()
    steps, counts = prepared_lexer(language), [0]
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, counts
        finally:
            counts.append(len(compiled))


def test_a_step_compiles_no_more_than_two_expressions(monkeypatch):
    compiled, real = [], re._compiler.compile
    monkeypatch.setattr(re._compiler, "compile", lambda *a: compiled.append(a) or real(*a))
    _, counts = prepared("python", compiled)
    assert counts[-1] > 50
    assert max(after - before for before, after in pairwise(counts)) <= 2


def test_an_unknown_language_has_no_lexer():
    made = []

    def steps():
        made.append((yield from prepared_lexer("no such language")))

    list(steps())
    assert made == [None]

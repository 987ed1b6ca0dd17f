"""Lexers of code are compiled in steps, and come out as Pygments makes them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from pygments.lexers import find_lexer_class_by_name

from r1desk.chat.text.highlight import prepared_lexer

LANGUAGES = ("python", "c++", "javascript", "bash", "html", "sql", "css", "ruby", "perl", "php")


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


def rules(kind):
    """What a lexer looks for in each state."""
    return {
        state: [(match.__self__.pattern, str(token), then) for match, token, then in entries]
        for state, entries in kind._tokens.items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lexer_made_in_steps_has_the_rules_that_pygments_gives_it(language):
    lexer, _ = prepared(language)
    kind = type(lexer)
    in_steps = rules(kind)
    del kind._tokens
    kind()  # which compiles it again
    assert in_steps == rules(kind)


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

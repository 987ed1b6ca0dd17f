"""The colours of code, found with Pygments, which is imported when the first code is coloured."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

_IN_STEPS = ("pygments.token", "pygments.lexer", "pygments.lexers._mapping", "pygments.lexers")
_FIELDS = {
    "Comment": "code_comment",
    "Keyword": "code_keyword",
    "Operator.Word": "code_keyword",
    "String": "code_string",
    "Number": "code_number",
    "Name.Function": "code_name",
    "Name.Class": "code_name",
    "Name.Builtin": "code_name",
    "Name.Decorator": "code_name",
    "Name.Tag": "code_keyword",
    "Name.Attribute": "code_name",
    "Error": "code_error",
}
Run = tuple[str, str]  # text, and the field of its colour: "" is the plain one
_PAUSED_RUNS = 200  # between two pauses
_MAX_NAME = 40  # characters of a fence's language word


def prepared_lexer(language: str) -> Generator[None, None, Lexer | None]:
    """The lexer for a fence's language word, made step by step: compiling its rules is slow."""
    if not 0 < len(language) <= _MAX_NAME:
        return None
    for module in _IN_STEPS:
        import_module(module)
        yield
    from pygments.lexers import find_lexer_class_by_name  # noqa: PLC0415 - see above
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        found: type[Lexer] = find_lexer_class_by_name(language.lower())
    except ClassNotFound:
        return None
    yield
    yield from _compiled(found)
    return found(stripnl=False, ensurenl=False)


def _compiled(kind: type[Lexer]) -> Iterator[None]:
    """Compile a lexer's expressions one by one.

    Its first instance compiles them all at once, 60 ms for Python's; the `re` module keeps the last
    512 and finds them again.
    """
    from pygments.lexer import RegexLexerMeta  # noqa: PLC0415 - see above

    if not isinstance(kind, RegexLexerMeta) or "_tokens" in kind.__dict__:
        return
    if getattr(kind, "token_variants", False):
        return
    lexer: Any = kind
    for state, rules in lexer.get_tokendefs().items():
        for rule in rules:
            if type(rule) is tuple:
                lexer._process_regex(rule[0], lexer.flags, state)
                yield


@cache
def _field(token: _TokenType) -> str | None:
    from pygments.token import string_to_tokentype  # noqa: PLC0415 - see above

    kinds: Iterator[tuple[Any, str]] = ((string_to_tokentype(n), f) for n, f in _FIELDS.items())
    return next((field for kind, field in kinds if token in kind), None)


def coloured(code: str, language: str) -> Iterator[tuple[int, int, str] | None]:
    """Runs of `code` that are not in the plain colour: start, length, field of `ChatColours`.

    Before the first come some None, one for each step of the work until then.
    """
    lexer = yield from prepared_lexer(language)
    if lexer is None:
        return
    for start, token, value in lexer.get_tokens_unprocessed(code):
        field = _field(token)
        if field and value:
            yield start, len(value), field


def code_runs(code: str, language: str, pause: Callable[[], None]) -> list[Run]:
    """Code cut into runs of one colour; `pause` is called in between."""
    runs: list[Run] = []
    done = 0
    for number, run in enumerate(coloured(code, language)):
        if run is None or number % _PAUSED_RUNS == 0:
            pause()
        if run is not None:
            start, length, field = run
            runs += [(code[done:start], ""), (code[start : start + length], field)]
            done = start + length
    runs.append((code[done:], ""))
    return runs

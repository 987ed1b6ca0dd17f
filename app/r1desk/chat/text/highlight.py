"""The colours of code, found with Pygments, which is imported when the first code is coloured."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QColor

from r1desk.chat.text.colours import ChatColours

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
_MAX_NAME = 40  # characters of a fence's language word


def prepared_lexer(language: str) -> Generator[None, None, Lexer | None]:
    """The lexer for a fence's language word, made step by step: compiling its rules is slow."""
    if len(language) > _MAX_NAME:
        return None
    for module in _IN_STEPS:
        import_module(module)
        yield
    found = _lexer_class(language.lower())
    if found is None:
        return None
    yield
    yield from _compiled(found)
    return found(stripnl=False, ensurenl=False)


def _lexer_class(name: str) -> type[Lexer] | None:
    """Pygments' class for a name, None where it knows none."""
    from pygments.lexers import find_lexer_class_by_name  # noqa: PLC0415 - see above
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        found: type[Lexer] = find_lexer_class_by_name(name)
    except ClassNotFound:
        return None
    return found


def _compiled(kind: type[Lexer]) -> Iterator[None]:
    """Compile the rules of a lexer as `RegexLexerMeta` does at the first instance, one by one."""
    from pygments.lexer import RegexLexerMeta  # noqa: PLC0415 - see above

    if not isinstance(kind, RegexLexerMeta) or "_tokens" in kind.__dict__:
        return
    if hasattr(kind, "token_variants") and kind.token_variants:
        return
    states = kind.get_tokendefs()
    processed: dict[str, object] = {}
    kind._all_tokens = {"": processed}
    kind._tmpname = 0
    begun: set[str] = set()
    for state in list(states):
        yield from _compiled_state(kind, states, processed, state, begun)
    kind._tokens = processed


def _compiled_state(
    kind: Any,  # its methods for this are private, and in no stub
    states: dict[str, list[object]],
    processed: dict[str, object],
    state: str,
    begun: set[str],
) -> Iterator[None]:
    """Compile one state, those that it includes first.

    `_process_state` compiles all of that at once, 60 ms for Python's. So each rule is compiled
    before it: the `re` module keeps the last 512 and finds them again.
    """
    if state in begun:
        return
    begun.add(state)
    for rule in states[state]:
        for included in _states_within(rule):
            yield from _compiled_state(kind, states, processed, included, begun)
        if type(rule) is tuple:
            kind._process_regex(rule[0], kind.flags, state)
            yield
    kind._process_state(states, processed, state)
    yield


def _states_within(rule: object) -> Sequence[str]:
    """The states whose rules become part of this rule's state, or of one made for it."""
    from pygments.lexer import combined, include  # noqa: PLC0415 - see above

    if isinstance(rule, include):
        return (str(rule),)
    if type(rule) is tuple and len(rule) > 2 and isinstance(rule[2], combined):
        return tuple(rule[2])
    return ()


@cache
def _field(token: _TokenType) -> str | None:
    from pygments.token import string_to_tokentype  # noqa: PLC0415 - see above

    fields = _FIELDS.items()
    return next((field for name, field in fields if token in string_to_tokentype(name)), None)


def coloured(code: str, lexer: Lexer, colours: ChatColours) -> Iterator[tuple[int, int, QColor]]:
    """Runs of `code` that are not in the plain colour: start, length, colour."""
    for start, token, value in lexer.get_tokens_unprocessed(code):
        field = _field(token)
        if field and value:
            yield start, len(value), getattr(colours, field)

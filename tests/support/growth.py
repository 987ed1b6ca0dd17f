"""Inputs that grow, for expressions and parsers: is the time that of their length?"""

from __future__ import annotations

import ast
import gc
import importlib
import itertools
import math
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from re import _parser  # type: ignore[attr-defined] - an expression's tree
from typing import Any

ENOUGH_S = 0.02  # that can be measured
LONGEST = 8_000  # characters for an expression: squared they would take a quarter of a second
QUICK_S = ENOUGH_S / 4  # what is squared takes 20 ms at twice that length
MOST_EXPONENT = 1.5  # 1 is linear, and n log n not far from it
_SAMPLES = 3  # characters of each class
_ATTEMPTS = 3
_MANY = 16  # repetitions that can become slow
_FIXED = {"match", "fullmatch"}


# ---- measuring


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The least processor time of some runs in this thread: other programs count little in it.

    Python's collector rests: it would walk all that the process has, once for a long text and not
    for a short one.
    """
    best, collects = math.inf, gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            began = time.thread_time()
            work()
            best = min(best, time.thread_time() - began)
    finally:
        if collects:
            gc.enable()
    return best


def exponent(
    work: Callable[[int], object], first: int, last: int, enough_s: float = ENOUGH_S
) -> float:
    """The power of the length with which the time grows; 1.0 where even the last takes none.

    Lengths grow by four, so that nothing has to take long to be found.
    """
    length = first
    while (took := seconds(partial(work, length))) <= enough_s:
        if length * 4 > last:
            return 1.0
        length *= 4
    least = math.log(seconds(partial(work, length * 3)) / took, 3)
    for _ in range(_ATTEMPTS):  # another program may have had the processor meanwhile, and a
        if least < MOST_EXPONENT:  # square that is bounded is one no more in a longer text
            break
        length = max(length, min(2 * length, last // 3))
        took, longer = (seconds(partial(work, each), 2) for each in (length, length * 3))
        least = min(least, math.log(longer / took, 3))
    return least


def exponent_of(expression: Expression, attack: Callable[[int], str]) -> float:
    """The power with which an expression's time grows with an attack's length."""
    return exponent(lambda n: expression.run(attack(n)), 500, LONGEST, QUICK_S)


# ---- expressions


@dataclass(frozen=True)
class Expression:
    """A regular expression of the application. `fixed`: it is only matched from a given place."""

    module: str
    pattern: re.Pattern[Any]
    fixed: bool

    def run(self, text: str) -> None:
        """Use it as the application does, to the end of the text."""
        given = text.encode("utf-8", "replace") if isinstance(self.pattern.pattern, bytes) else text
        if self.fixed:
            self.pattern.match(given)
            self.pattern.fullmatch(given)
            return
        for _ in self.pattern.finditer(given):
            pass


def modules(*packages: str) -> Iterator[str]:
    """The names of all modules of packages."""
    for package in packages:
        found = importlib.import_module(package)
        for each in pkgutil.walk_packages(found.__path__, f"{package}."):
            yield each.name


def expressions(names: Iterable[str]) -> list[Expression]:
    """Those of modules: compiled ones, and those that stand in a call."""
    found: dict[tuple[str, Any], Expression] = {}
    for name in names:
        module = importlib.import_module(name)
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        uses = _uses(source)
        for variable, value in vars(module).items():
            for pattern in _patterns(value):
                ways = {way for way, variables in uses.items() if variable in variables}
                fixed = bool(ways) and ways <= _FIXED and isinstance(value, re.Pattern)
                if isinstance(value, re.Pattern) and not ways:
                    continue  # imported
                found[name, pattern.pattern] = Expression(name, pattern, fixed)
        for way, text in _in_calls(source):
            found.setdefault((name, text), Expression(name, re.compile(text), way in _FIXED))
    return list(found.values())


def expressions_of(pattern: str) -> Expression:
    """One that searches."""
    return Expression("", re.compile(pattern), fixed=False)


def _uses(source: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for variable, way in re.findall(r"\b(_?[A-Z][A-Z0-9_]*)\.([a-z]+)\b", source):
        found.setdefault(way, set()).add(variable)
    return found


def _patterns(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _patterns(tuple(value.values()))
    elif isinstance(value, tuple | list) and len(value) < 100:
        for each in value:
            yield from _patterns(each)


def _in_calls(source: str) -> Iterator[tuple[str, Any]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=way),
                args=[ast.Constant(value=str() | bytes() as text), *_],
            ) if way not in {"escape", "compile"}:
                yield way, text


def attacks(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Texts of any length that an expression may take long for, made of its own parts."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    starts, letters = {""}, {"a", " ", "0"}
    _collect(tree, "", starts, letters)
    units = letters | {start for start in starts if start}
    ends = ["", "\0", "\n", "a", *sorted(_refused(tree) - {"\0", "\n", "a"})[:4]]
    for start, unit, end in itertools.product(sorted(starts)[:12], sorted(units)[:24], ends):
        yield lambda n, start=start, unit=unit, end=end: start + unit * (n // len(unit)) + end


def _collect(tree: Iterable[Any], before: str, starts: set[str], letters: set[str]) -> str:
    """Add what stands before each long repetition, and characters; returns a text that matches."""
    text = before
    for kind, argument in tree:
        name = str(kind)
        if name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            least, most, inner = argument
            if most > _MANY:
                starts.add(text)
            once = _collect(inner, text, starts, letters)
            if most > _MANY:
                starts.add(once)
            text = once if least else text
            if least > 1:
                text += once[len(text) :] * (min(least, 64) - 1)
        elif name == "SUBPATTERN":
            text = _collect(argument[-1], text, starts, letters)
        elif name == "ATOMIC_GROUP":
            text = _collect(argument, text, starts, letters)
        elif name == "BRANCH":
            text = next(iter([_collect(each, text, starts, letters) for each in argument[1]]))
        elif name in {"ASSERT", "ASSERT_NOT"}:
            _collect(argument[1], text, starts, letters)
        elif name not in {"AT", "GROUPREF", "GROUPREF_EXISTS"}:
            some = _characters(kind, argument)
            letters.update(some)
            text += some[0] if some else ""
    return text


def _refused(tree: Any) -> set[str]:
    """Single characters that a negated class names: one at the end makes a whole match fail."""
    if isinstance(tree, tuple) and len(tree) == 2 and str(tree[0]) == "IN":
        negated = str(tree[1][0][0]) == "NEGATE"
        return {chr(each[1]) for each in tree[1] if negated and str(each[0]) == "LITERAL"}
    if isinstance(tree, tuple | list | _parser.SubPattern):
        return set().union(*(_refused(each) for each in tree))
    return set()


def _characters(kind: Any, argument: Any) -> list[str]:
    """Some characters that a node takes."""
    match str(kind):
        case "LITERAL":
            return [chr(argument)]
        case "NOT_LITERAL":
            return [next(c for c in "ab" if ord(c) != argument)]
        case "ANY":
            return ["a"]
        case "CATEGORY":
            kinds = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0", "CATEGORY_NOT_WORD": " "}
            return [kinds.get(str(argument), "a")]
        case "RANGE":
            return [chr(argument[0]), chr(argument[1])]
        case "IN":
            if str(argument[0][0]) == "NEGATE":
                refused = {c for each in argument[1:] for c in _characters(*each)}
                return [c for c in "a0 .=<" if c not in refused][:_SAMPLES]
            found = [c for each in argument for c in _characters(*each)]
            return found[:_SAMPLES] + [c for c in found[_SAMPLES:] if not c.isalnum()]
    return []

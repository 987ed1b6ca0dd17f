"""Jinja for templates that strangers wrote: they came with a model file.

Jinja's immutable sandbox keeps a template away from Python's insides. It does not keep it from
eating time and memory, so here every loop runs against a deadline and every text a template
makes is paid from an allowance before it is made.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from deepseek_r1.core.words import tr

SECONDS = 1.5  # for one rendering, far below what a person calls a hang
MAX_INT_BITS = 256
_SMALL = (bool, int, float, Undefined, type(None))

# What chat templates in the wild use. Filters that can blow a short text up (center, format,
# indent, wordwrap, ...) are missing on purpose: compiling a template that uses them fails.
_FILTER_NAMES = """
    abs bool capitalize count d default dictsort e escape first float int items join last length
    list lower map max min reject rejectattr replace reverse round safe select selectattr sort
    string title tojson trim unique upper
"""
_METHOD_NAMES = """
    capitalize count endswith find index isalnum isalpha isdigit islower isnumeric isspace istitle
    isupper join lower lstrip partition removeprefix removesuffix replace rfind rpartition rsplit
    rstrip split splitlines startswith strip title upper
"""
_FILTERS = frozenset(_FILTER_NAMES.split())
_STR_METHODS = frozenset(_METHOD_NAMES.split())


class TooMuchError(Exception):
    """A template ran out of time or of its allowance."""


class _Generator(CodeGenerator):
    """Sends `a ~ b` through the environment, as operators are sent that may be intercepted."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


@pass_context
def _output(context: Context, value: Any) -> Any:
    environment: Any = context.environment
    return environment.text_of(value)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox with an allowance of characters and a deadline. For one thread at a time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _Generator

    def __init__(self) -> None:
        # The optimiser would compute constant expressions while compiling, out of our sight.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=_output,
            extensions=["jinja2.ext.loopcontrols"],
        )
        self.allowance = 0
        self.globals.pop("lipsum")
        self.filters = {name: self.filters[name] for name in _FILTERS if name in self.filters}
        self.filters["string"] = self.text_of
        self.filters["tojson"] = self.to_json
        self.filters["join"] = self.joined
        self.filters["replace"] = lambda text, old, new: self._replaced(
            self.text_of(text), old, new
        )

    # ---- the meter ----------------------------------------------------------------------

    @contextmanager
    def limits(self, characters: int, seconds: float = SECONDS) -> Iterator[None]:
        """Run a block with an allowance of `characters` and a deadline `seconds` from now."""
        self.allowance = characters
        deadline = time.monotonic() + seconds

        def look(_frame: FrameType, _event: str, _arg: Any) -> Any:
            if time.monotonic() > deadline:
                raise TooMuchError(tr("the template takes too long"))
            return look

        before = sys.gettrace()
        sys.settrace(look)  # sees each line of Python, thus each turn of every loop
        try:
            yield
        finally:
            sys.settrace(before)

    def pay(self, characters: int) -> None:
        """Take from the allowance, or raise TooMuchError before the text exists."""
        self.allowance -= characters
        if self.allowance < 0:
            raise TooMuchError(tr("the template writes too much"))

    # ---- what makes text ------------------------------------------------------------------

    def text_of(self, value: Any) -> str:
        """`str`, paid for."""
        if isinstance(value, str):
            self.pay(len(value))
            return value
        self.pay(_weight(value, self.allowance))
        return str(value)

    def concatenated(self, values: tuple[Any, ...]) -> str:
        """Jinja's `~`."""
        return "".join([self.text_of(value) for value in values])

    def joined(self, values: Any, between: str = "", attribute: Any = None) -> str:
        """The filter `join`."""
        if attribute is not None:
            values = [self.getattr(value, attribute) for value in values]
        parts = [self.text_of(value) for value in values]
        self.pay(len(parts) * len(between))
        return between.join(parts)

    def to_json(self, value: Any, indent: int | None = None, **_: Any) -> str:
        """The filter `tojson` as chat templates expect it: no HTML escapes, no ASCII escapes."""
        self.pay(_weight(value, self.allowance))
        return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None)

    def _replaced(self, text: str, old: str, new: str, count: int = -1) -> str:
        self.pay(len(text) + text.count(old) * len(new))
        return text.replace(old, new, count)

    # ---- Jinja's hooks ----------------------------------------------------------------------

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of texts only the methods that cannot blow them up, of numbers none."""
        if isinstance(obj, str):
            return attr in _STR_METHODS
        if isinstance(obj, int | float | bytes):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format`: a width in it makes any length. Refused with the other methods."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Operators that can make something big out of something small."""
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise TooMuchError(tr("the template uses the operator {sign}", sign=operator))
        if operator == "*":
            self._pay_product(left, right)
        if operator == "+" and isinstance(left, str | list | tuple):
            self.pay(len(left) + (len(right) if isinstance(right, str | list | tuple) else 0))
        return super().call_binop(context, operator, left, right)

    def _pay_product(self, left: Any, right: Any) -> None:
        for many, times in ((left, right), (right, left)):
            if isinstance(many, str | list | tuple) and isinstance(times, int):
                self.pay(len(many) * max(times, 0))
        both = isinstance(left, int) and isinstance(right, int)
        if both and left.bit_length() + right.bit_length() > MAX_INT_BITS:
            raise TooMuchError(tr("the template computes with huge numbers"))

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls of methods and functions; `replace` and `join` of texts are paid in advance."""
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            name = getattr(obj, "__name__", "")
            if name == "replace":
                return self._replaced(owner, *args, **kwargs)
            if name == "join":
                return self.joined(args[0], owner)
            self.pay(len(owner))
        return super().call(context, obj, *args, **kwargs)


def _weight(value: Any, most: int) -> int:
    """About how many characters `str(value)` has; stops counting above `most`.

    Iterative, because a list may hold itself a hundred times over, level by level.
    """
    total = 0
    waiting = [value]
    while waiting and total <= most:
        item = waiting.pop()
        if isinstance(item, str):
            total += len(item) + 2
        elif isinstance(item, _SMALL):
            total += 80
        elif isinstance(item, dict):
            total += 2
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            total += 2 + 2 * len(item)
            waiting += item
        else:
            total += 200
    return total


def template_error(message: str) -> Callable[..., Any]:
    """Raise what a template says is wrong with a conversation (`raise_exception`)."""
    raise TemplateSaysNoError(message)


class TemplateSaysNoError(Exception):
    """The template refuses the conversation."""

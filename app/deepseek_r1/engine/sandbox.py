"""A Jinja sandbox for untrusted templates that came with a model file.

Jinja's immutable sandbox keeps a template away from Python's internals, but not from exhausting
time and memory. So every loop runs against a deadline, and every text is charged to a limit of
characters before it is created. These limits give reasons; those that no template escapes are the
renderer process's (`template_renderer`).
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from jinja2 import Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import do_round
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context

from deepseek_r1.core.i18n import tr

SECONDS = 1.0  # of the processor, for one rendering
MAX_INT_BITS = 256
MAX_DIGITS = 20  # that `round` may be asked for
_WIDE_FIELD = re.compile(r"\d{4,}|\{[^{}]*\{")  # in `str.format`: creates texts of any length
_SMALL = (bool, int, float, Undefined, type(None))

# The filters that published chat templates use. Filters that can enlarge a short text (center,
# format, indent, wordwrap, ...) are left out: compiling a template that uses them fails.
_FILTER_NAMES = """
    abs bool capitalize count d default dictsort e escape first float int items join last length
    list lower map max min reject rejectattr replace reverse round safe select selectattr sort
    string title tojson trim unique upper
"""
_METHOD_NAMES = """
    capitalize count endswith find format index isalnum isalpha isdigit islower isnumeric isspace
    istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rpartition
    rsplit rstrip split splitlines startswith strip title upper
"""
_FILTERS = frozenset(_FILTER_NAMES.split())
_STR_METHODS = frozenset(_METHOD_NAMES.split())


class TemplateLimitError(Exception):
    """A template exceeded its time or its limit of characters."""


class _Generator(CodeGenerator):
    """Sends `a ~ b` through the environment, like the operators that can be intercepted."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.concat_values((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


@pass_context
def _output(context: Context, value: Any) -> Any:
    environment: Any = context.environment
    return environment.text_of(value)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox with a limit of characters and a deadline. For one thread at a time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _Generator

    def __init__(self) -> None:
        # The optimizer would compute constant expressions while compiling, without our limits.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            finalize=_output,
            extensions=["jinja2.ext.loopcontrols"],
        )
        self.remaining = 0
        self.globals.pop("lipsum")
        self.filters = {name: self.filters[name] for name in _FILTERS if name in self.filters}
        self.filters["string"] = self.text_of
        self.filters["tojson"] = self.to_json
        self.filters["join"] = self.join
        self.filters["replace"] = lambda text, old, new: self._replace(self.text_of(text), old, new)
        self.filters["round"] = _round

    # ---- limits -------------------------------------------------------------------------

    @contextmanager
    def limits(self, characters: int, seconds: float = SECONDS) -> Iterator[None]:
        """Run a block with a limit of `characters` and of `seconds` of the processor's time."""
        self.remaining = characters
        deadline = time.process_time() + seconds

        def check_deadline(_frame: FrameType, _event: str, _arg: Any) -> Any:
            if time.process_time() > deadline:
                raise TemplateLimitError(tr("the template takes too long"))
            return check_deadline

        before = sys.gettrace()
        sys.settrace(check_deadline)  # sees each line of Python, thus each turn of every loop
        try:
            yield
        finally:
            sys.settrace(before)

    def charge(self, characters: int) -> None:
        """Subtract from the remaining characters. Raises TemplateLimitError."""
        self.remaining -= characters
        if self.remaining < 0:
            raise TemplateLimitError(tr("the template writes too much"))

    # ---- text -----------------------------------------------------------------------------

    def text_of(self, value: Any) -> str:
        """Convert to `str` and charge for it."""
        if isinstance(value, str):
            self.charge(len(value))
            return value
        self.charge(_text_length(value, self.remaining))
        return str(value)

    def concat_values(self, values: tuple[Any, ...]) -> str:
        """Implement Jinja's operator `~`."""
        return "".join([self.text_of(value) for value in values])

    def join(self, values: Any, between: str = "", attribute: Any = None) -> str:
        """Implement the filter `join`."""
        if attribute is not None:
            values = [self.getattr(value, attribute) for value in values]
        parts = [self.text_of(value) for value in values]
        self.charge(len(parts) * len(between))
        return between.join(parts)

    def to_json(self, value: Any, indent: int | None = None, **_: Any) -> str:
        """Implement the filter `tojson` as chat templates expect it: no HTML or ASCII escapes."""
        self.charge(_text_length(value, self.remaining))
        return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None)

    def _replace(self, text: str, old: str, new: str, count: int = -1) -> str:
        self.charge(len(text) + text.count(old) * len(new))
        return text.replace(old, new, count)

    # ---- Jinja's hooks ----------------------------------------------------------------------

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow only methods of texts that cannot enlarge them, and none of numbers."""
        if isinstance(obj, str):
            return attr in _STR_METHODS
        if isinstance(obj, int | float | bytes):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse `str.format` with wide or nested fields, which create texts of any length."""
        owner = getattr(value, "__self__", None)
        if isinstance(owner, str) and _WIDE_FIELD.search(owner):
            raise TemplateLimitError(tr("the template writes too much"))
        return super().wrap_str_format(value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Charge for operators that can create something large."""
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise TemplateLimitError(tr("the template uses the operator {sign}", sign=operator))
        if operator == "*":
            self._charge_product(left, right)
        if operator == "+" and isinstance(left, str | list | tuple):
            self.charge(len(left) + (len(right) if isinstance(right, str | list | tuple) else 0))
        return super().call_binop(context, operator, left, right)

    def _charge_product(self, left: Any, right: Any) -> None:
        for many, times in ((left, right), (right, left)):
            if isinstance(many, str | list | tuple) and isinstance(times, int):
                self.charge(len(many) * max(times, 0))
        both = isinstance(left, int) and isinstance(right, int)
        if both and left.bit_length() + right.bit_length() > MAX_INT_BITS:
            raise TemplateLimitError(tr("the template computes with huge numbers"))

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call methods and functions; `replace` and `join` of texts are charged in advance."""
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            name = getattr(obj, "__name__", "")
            if name == "replace":
                return self._replace(owner, *args)
            if name == "join":
                return self.join(args[0], owner)
            self.charge(len(owner))
        return super().call(context, obj, *args, **kwargs)


def _text_length(value: Any, most: int) -> int:
    """Return about how many characters `str(value)` has; stops counting above `most`.

    It is iterative, because a list may contain itself a hundred times over, level by level.
    """
    total = 0
    stack = [value]
    while stack and total <= most:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item) + 2
        elif isinstance(item, _SMALL):
            total += 80
        elif isinstance(item, dict):
            total += 2
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            total += 2 + 2 * len(item)
            stack += item
        else:
            total += 200
    return total


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    """Implement the filter `round`: a large precision would compute for hours."""
    if abs(precision) > MAX_DIGITS:
        raise TemplateLimitError(tr("the template computes with huge numbers"))
    return do_round(value, precision, cast("Any", method))


def template_error(message: str) -> Callable[..., Any]:
    """Raise the error that a template reports (`raise_exception`)."""
    raise TemplateRefusalError(message)


class TemplateRefusalError(Exception):
    """The template refuses the conversation."""

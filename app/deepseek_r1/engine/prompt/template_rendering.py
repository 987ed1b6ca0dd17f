"""Renders chat templates in the renderer's process; see `template_renderer` for its limits.

A template is rendered as the `transformers` library does (trim_blocks, lstrip_blocks, loop
controls, tojson, raise_exception, strftime_now), in Jinja's immutable sandbox.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.prompt.template_frames import RenderOutcome

BASE_CHARACTERS = 256 * 1024  # that a prompt may have beyond the contents
MESSAGE_CHARACTERS = 1024  # for each message
CONTENT_COPIES = 16  # how often a prompt may repeat the contents
_DETAIL_CHARACTERS = 300

# Jinja compiles code when it reports an error, and where that code cannot be allocated, CPython may
# raise SystemError: "<built-in function compile> returned NULL without setting an exception".
OUT_OF_MEMORY_ERRORS = (MemoryError, SystemError)


class _RefusalError(Exception):
    """The template refuses the conversation."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """The environment that `transformers` renders with."""

    intercepted_binops = frozenset({"**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        self.filters["tojson"] = _to_json
        self.globals |= {
            "tools": None,
            "documents": None,
            "raise_exception": _raise_exception,
            "strftime_now": _strftime_now,
        }

    def call_binop(self, _context: Context, operator: str, _left: Any, _right: Any) -> NoReturn:
        """Refuse powers: no chat template needs one, and few digits of it take hours."""
        raise SecurityError(tr("the template uses the operator {sign}", sign=operator))

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Refuse a template that reaches for Python's internals; Jinja would write nothing."""
        raise SecurityError(f"{attribute!r} of {type(obj).__name__!r} is unsafe.")


def render_calls(source: str, calls: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Render `source` once for each of `calls`, the variables of a rendering.

    Each result is a `RenderOutcome` and the text, or the reason where there is none. Raises one of
    `OUT_OF_MEMORY_ERRORS` where the process's memory does not suffice.
    """
    try:
        template = _compiled(source)
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return [(RenderOutcome.FAILED, _describe(error))] * len(calls)
    return [_render(template, variables) for variables in calls]


@lru_cache(maxsize=4)
def _compiled(source: str) -> Template:
    return _Sandbox().from_string(source)


def _render(template: Template, variables: Mapping[str, Any]) -> tuple[str, str]:
    """Some templates write the arguments of a call as JSON; others expect JSON's text."""
    parsed = [_with_parsed_arguments(message) for message in variables["messages"]]
    outcome, text = _render_once(template, {**variables, "messages": parsed})
    if outcome == RenderOutcome.FAILED and parsed != variables["messages"]:
        return _render_once(template, variables)
    return outcome, text


def _with_parsed_arguments(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        arguments = call["function"]["arguments"]
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
        calls.append({**call, "function": {**call["function"], "arguments": arguments}})
    return {**message, "tool_calls": calls}


def _render_once(template: Template, variables: Mapping[str, Any]) -> tuple[str, str]:
    messages = variables["messages"]
    length = sum(len(str(message)) for message in messages)
    try:
        text = template.render(variables)
    except _RefusalError as error:
        detail = tr("The template reports: {detail}", detail=str(error)[:_DETAIL_CHARACTERS])
        return RenderOutcome.REFUSED, detail
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return RenderOutcome.FAILED, _describe(error)
    if len(text) > BASE_CHARACTERS + MESSAGE_CHARACTERS * len(messages) + CONTENT_COPIES * length:
        reason = tr("the template writes too much")
        return RenderOutcome.FAILED, tr("It exceeds the limits: {detail}.", detail=reason)
    return RenderOutcome.TEXT, text


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """Implement the filter `tojson` as chat templates expect it: no HTML or ASCII escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    """Report an error, for templates that refuse a conversation."""
    raise _RefusalError(message)


def _strftime_now(pattern: str) -> str:
    """Return the date, for templates that contain it."""
    return time.strftime(pattern[:64])


def _describe(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS].rstrip()
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."

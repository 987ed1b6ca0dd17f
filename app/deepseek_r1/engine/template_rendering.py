"""Renders chat templates in the renderer's process; see `template_renderer` for its limits.

A template is rendered as the `transformers` library does (trim_blocks, lstrip_blocks, loop
controls, tojson, raise_exception, strftime_now).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Template

from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.sandbox import (
    LimitedEnvironment,
    TemplateLimitError,
    TemplateRefusalError,
    template_error,
)
from deepseek_r1.engine.template_frames import RenderOutcome

BASE_CHARACTERS = 256 * 1024  # that a template may add to the contents
CONTENT_COPIES = 16  # how often it may copy the contents
_DETAIL_CHARACTERS = 300

# Jinja compiles code when it reports an error, and where that code cannot be allocated, CPython may
# raise SystemError: "<built-in function compile> returned NULL without setting an exception".
OUT_OF_MEMORY_ERRORS = (MemoryError, SystemError)


def render_calls(source: str, calls: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Render `source` once for each of `calls`, the variables of a rendering.

    Each result is a `RenderOutcome` and the text, or the reason where there is none. Raises one of
    `OUT_OF_MEMORY_ERRORS` where the process's memory does not suffice.
    """
    try:
        environment, template = _compiled(source)
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return [(RenderOutcome.FAILED, _describe(error))] * len(calls)
    return [_render(environment, template, variables) for variables in calls]


@lru_cache(maxsize=4)
def _compiled(source: str) -> tuple[LimitedEnvironment, Template]:
    environment = LimitedEnvironment()
    return environment, environment.from_string(source)  # computes nothing: not optimized


def _render(
    environment: LimitedEnvironment, template: Template, variables: Mapping[str, Any]
) -> tuple[str, str]:
    length = sum(len(message["content"]) for message in variables["messages"])
    available = {
        "tools": None,
        "documents": None,
        "raise_exception": template_error,
        "strftime_now": _strftime_now,
        **variables,
    }
    try:
        with environment.limits(BASE_CHARACTERS + CONTENT_COPIES * length):
            return RenderOutcome.TEXT, template.render(available)
    except TemplateRefusalError as error:
        detail = tr("The template reports: {detail}", detail=str(error)[:_DETAIL_CHARACTERS])
        return RenderOutcome.REFUSED, detail
    except OUT_OF_MEMORY_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - the template is foreign: any error is its own
        return RenderOutcome.FAILED, _describe(error)


def _strftime_now(pattern: str) -> str:
    """Return the date, for templates that contain it."""
    return time.strftime(pattern[:64])


def _describe(error: BaseException) -> str:
    if isinstance(error, TemplateLimitError):
        return tr("It exceeds the limits: {detail}.", detail=error)
    text = f"{type(error).__name__}: {error}"[:_DETAIL_CHARACTERS].rstrip()
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."

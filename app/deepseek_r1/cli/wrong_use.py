"""Turns click's usage errors into our own, in the present language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import ValidationError

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr

_UsageError: Any = typer.BadParameter.__mro__[1]  # typer does not export it by its name


@contextmanager
def translated_usage_errors(ctx: Any) -> Iterator[None]:
    """Raise WrongUsage in place of a usage error, which typer would print in English.

    A command without arguments shows its help, which typer raises as an error as well.
    """
    try:
        yield
    except _UsageError as error:
        if ctx.resilient_parsing or type(error).__name__ == "NoArgsIsHelpError":
            raise
        hint = tr("“{command} --help” lists what is available.", command=ctx.command_path)
        raise WrongUsage(detail=f"{_usage_text(error)}\n{hint}") from error


def _usage_text(error: Any) -> str:
    """Returns our text for a usage error; an unknown kind keeps typer's text."""
    param = getattr(error, "param", None)
    name = ""
    if param is not None:
        name = param.opts[0] if param.param_type_name == "option" else param.name.upper()
    text = str(error.format_message())
    match type(error).__name__:
        case "MissingParameter":
            text = tr("{name} is missing.", name=name)
        case "NoSuchOption":
            text = tr("There is no option {name}.", name=error.option_name)
        case "BadOptionUsage" if text.endswith("does not take a value."):
            text = tr("{name} takes no value.", name=error.option_name)
        case "BadOptionUsage":
            text = tr("{name} needs a value.", name=error.option_name)
        case "BadParameter" if name and isinstance(error.__cause__, ValidationError):
            text = f"{name}: {_bad_value(error.__cause__)}"
        case _ if command := re.match("No such command '(.*)'", text):
            text = tr("There is no command {name}.", name=command[1])
        case _ if rest := re.match(r"Got unexpected extra argument\(s\) \((.*)\)$", text):
            text = tr("The command does not take these arguments: {rest}", rest=rest[1])
    return text


def _bad_value(problem: ValidationError) -> str:
    first = problem.errors()[0]
    limits = first.get("ctx", {})
    text = first["msg"].removeprefix("Value error, ")
    match first["type"]:
        case "greater_than_equal":
            text = tr("the minimum is {limit}.", limit=limits["ge"])
        case "less_than_equal":
            text = tr("the maximum is {limit}.", limit=limits["le"])
        case "int_parsing" | "int_type" | "int_from_float":
            text = tr("a whole number is needed, not “{value}”.", value=first["input"])
        case "float_parsing" | "float_type":
            text = tr("a number is needed, not “{value}”.", value=first["input"])
        case _ if choice := re.match("'(.*)' is not one of (.*?)[.]?$", text):
            text = tr("“{value}” is not one of {known}.", value=choice[1], known=choice[2])
    return text

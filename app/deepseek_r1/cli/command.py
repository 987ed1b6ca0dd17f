"""Commands on click: help that fits any terminal and language, and switches that take a value.

click looks up its own texts with gettext, which finds those marked here in our catalogue.
"""

import gettext
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from deepseek_r1.cli import console
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import DOMAIN, N_, Nn_, current_language, tr
from deepseek_r1.core.paths import resources_dir

CLICK_TEXTS = (
    N_("Options"),
    N_("Positional arguments"),
    N_("Commands"),
    N_("Usage:"),
    N_("default: {default}"),
    N_("required"),
    N_("Show this message and exit."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Missing command."),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Invalid value for {param_hint}: {message}"),
    N_("Option {name!r} does not take a value."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    Nn_("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    Nn_("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    Nn_("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    Nn_("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
)
Function = Callable[..., None]
Decorator = Callable[[Function], Function]
INTERRUPTED = 130  # the exit code after Ctrl-C


class _Path(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # would be the present folder
            self.fail(tr("A name is missing."), param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
_NOT_AT_THE_BEGINNING = "，。；：、！？）”》…)"
_VALUES = {
    "true": True, "on": True, "yes": True, "1": True,
    "false": False, "off": False, "no": False, "0": False,
}  # fmt: skip


def use_catalogue_for_click() -> None:
    """Make gettext, which click uses, look up texts in our catalogue, in our language."""
    os.environ["LANGUAGE"] = current_language()  # gettext knows neither Windows' nor our choice
    gettext.bindtextdomain(DOMAIN, str(resources_dir() / "translations"))
    gettext.textdomain(DOMAIN)


def width_of(text: str) -> int:
    """Returns the width in terminal columns; Chinese characters have two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def wrapped(text: str, width: int) -> list[str]:
    """Returns lines of at most `width` columns, broken at spaces and between Chinese characters.

    A wider word is a line of its own.
    """
    pieces = re.findall(rf"[!-~]+|\s+|[^!-~\s][{_NOT_AT_THE_BEGINNING}]*", text)
    lines = [""]
    for piece in pieces:
        if lines[-1] and width_of(lines[-1]) + width_of(piece.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines if line.strip()]


class _Formatter(click.HelpFormatter):
    """Wraps by display width; click counts a Chinese character as one column."""

    def write_dl(self, rows: Any, col_max: int = 26, col_spacing: int = 2) -> None:
        rows = list(rows)
        names = min(max((len(name) for name, _ in rows), default=0), col_max) + col_spacing
        columns = max(self.width - names - 2, 10)
        # click does not wrap a paragraph that begins with a backspace.
        whole = [(name, "\n".join(("\b", *wrapped(text, columns)))) for name, text in rows]
        super().write_dl(whole, col_max, col_spacing)

    def write_text(self, text: str) -> None:
        for line in wrapped(" ".join(text.split()), self.width - self.current_indent):
            self.write(f"{'':>{self.current_indent}}{line}\n")


class _Context(click.Context):
    formatter_class = _Formatter


class Command(click.Command):
    """A command with our help, and switches that take a value as well."""

    context_class = _Context

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click gives it
        """All of the help: the lines are wrapped, nothing need be cut."""
        return self.help or ""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """The option `--help`, whose output may be a full disk."""
        if found := super().get_help_option(ctx):
            found.callback = printing(click.Context.get_help)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_values_named(self.params, args))


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command


def command(name: str, text: str) -> Callable[[Function], click.Command]:
    """Returns a decorator that makes a function a command; `text` is its help."""
    return click.command(name, cls=Command, help=text)


def option(names: str, text: str, kind: Any = None, **more: Any) -> Decorator:
    """Returns an option by its names, with spaces between, its help and its kind."""
    return click.option(*names.split(), help=text, type=kind, **more)


def flag(names: str, text: str) -> Decorator:
    """Returns an option without a value, which is off where it is not given."""
    return click.option(*names.split(), help=text, is_flag=True)


def printing(text_of: Callable[[click.Context], str]) -> Callable[..., None]:
    """Returns the callback of an option that prints a text in place of the command."""

    def show(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
        if given and not ctx.resilient_parsing:
            console.result(text_of(ctx))
            ctx.exit()

    return show


def normalised(option: str) -> str:
    """Returns an option's name with hyphens in place of underscores.

    click passes choices as well: the underscore of q8_0 is before a digit and stays.
    """
    return re.sub("_(?=[a-z])", "-", option)


def with_values_named(params: Sequence[click.Parameter], args: Sequence[str]) -> list[str]:
    """Returns `args` with each switch and its value replaced by one of the switch's two names.

    `--swap_enabled false`, `--swap_enabled=0` and `--no-swap-enabled` are the same. A word after a
    switch is its value only if it is one of the known values, otherwise an argument. Values of
    other options and everything after `--` stay. Raises WrongUsage for `--switch=word` with an
    unknown word.
    """
    options = [each for each in params if isinstance(each, click.Option)]
    switches = {name: each for each in options if each.secondary_opts for name in each.opts}
    taking = {name for each in options if not each.is_flag for name in each.opts}
    named, rest = list[str](), list(args)
    while rest:
        arg = rest.pop(0)
        before, equals, word = arg.partition("=")
        name = normalised(before)
        if name in switches:
            if not equals:
                word = rest.pop(0) if rest and rest[0].lower() in _VALUES else "on"
            if word.lower() not in _VALUES:
                problem = tr(
                    "“{value}” is not one of {known}.", value=word, known=", ".join(_VALUES)
                )
                raise WrongUsage(detail=f"{name}: {problem}")
            switch = switches[name]
            named.append((switch.opts if _VALUES[word.lower()] else switch.secondary_opts)[0])
        elif arg == "--":
            return [*named, arg, *rest]
        else:
            named.append(arg)
            if name in taking and not equals and rest:
                named.append(rest.pop(0))
    return named

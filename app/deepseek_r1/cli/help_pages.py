"""Formats help as plain text that fits any terminal and language.

Names are never cut and text is wrapped by display width. typer's framed tables cut option names
and Chinese sentences in narrow columns.
"""

from __future__ import annotations

import gettext
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from deepseek_r1.cli.switches import with_values_named
from deepseek_r1.cli.wrong_use import translated_usage_errors
from deepseek_r1.core.i18n import DOMAIN, N_, tr
from deepseek_r1.core.paths import resources_dir

# typer's own texts. It gets them from gettext, which finds them in our catalogue.
_TYPER_TEXTS = (
    N_("Arguments"),
    N_("Options"),
    N_("Commands"),
    N_("default: {default}"),
    N_("required"),
)
_NOT_AT_THE_BEGINNING = "，。；：、！？）”》…)"


def use_catalogue_for_typer() -> None:
    """Make gettext, which typer uses, look up texts in our catalogue."""
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


_Formatter: Any = typer.Context.formatter_class


class _Pages(_Formatter):  # type: ignore[misc]  # typer's class is not exported
    """Formats help pages."""

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 26, col_spacing: int = 2
    ) -> None:
        """Write names and descriptions in two columns."""
        names = min(max((len(name) for name, _ in rows), default=0), col_max) + col_spacing
        columns = max(self.width - names - 2, 10)
        # click does not wrap a paragraph that begins with a backspace.
        whole = [(name, "\n".join(("\b", *wrapped(text, columns)))) for name, text in rows]
        super().write_dl(whole, col_max, col_spacing)

    def write_text(self, text: str) -> None:
        """Write indented paragraphs."""
        for paragraph in text.split("\n\n"):
            for line in wrapped(" ".join(paragraph.split()), self.width - self.current_indent):
                self.write(f"{'':>{self.current_indent}}{line}\n")


class HelpContext(typer.Context):
    """The context of a command, with our help formatter."""

    formatter_class = _Pages


class HelpCommand(TyperCommand):
    """A command with our help pages and usage errors."""

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises WrongUsage."""
        with translated_usage_errors(ctx):
            same = ctx.token_normalize_func or str
            return super().parse_args(ctx, with_values_named(self.get_params(ctx), args, same))

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, in the language in force."""
        return _translated(super().get_help_option(ctx))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click gives it
        """All of it: the lines are wrapped, nothing need be cut."""
        return self.help or ""


class HelpGroup(TyperGroup):
    """A group of commands with our help pages and usage errors."""

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises WrongUsage."""
        with translated_usage_errors(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Raises WrongUsage."""
        with translated_usage_errors(ctx):
            return super().resolve_command(ctx, args)

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, in the language in force."""
        return _translated(super().get_help_option(ctx))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click gives it
        """All of it: the lines are wrapped, nothing need be cut."""
        return self.help or ""


def _translated(option: Any) -> Any:
    if option is not None:
        option.help = tr("Show this message and exit.")
    return option

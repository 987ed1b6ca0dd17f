"""Help that fits any terminal and any language: plain text with whole names, wrapped by width.

typer's framed tables cut option names and Chinese sentences off where a column is too narrow.
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
from deepseek_r1.cli.wrong_use import told_in_our_words
from deepseek_r1.core.paths import resources_dir
from deepseek_r1.core.words import DOMAIN, N_, tr

# typer's own words. It asks gettext for them, which finds them among ours.
_WORDS_OF_TYPER = (
    N_("Arguments"),
    N_("Options"),
    N_("Commands"),
    N_("default: {default}"),
    N_("required"),
)
_NOT_AT_THE_BEGINNING = "，。；：、！？）”》…)"


def speak_our_language() -> None:
    """Let typer find its words in our catalogues."""
    gettext.bindtextdomain(DOMAIN, str(resources_dir() / "translations"))
    gettext.textdomain(DOMAIN)


def width_of(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces and between Chinese characters.

    A word that is wider stays whole on a line of its own.
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
    """Writes help pages."""

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 26, col_spacing: int = 2
    ) -> None:
        """Names and what they mean, in two columns."""
        names = min(max((len(name) for name, _ in rows), default=0), col_max) + col_spacing
        room = max(self.width - names - 2, 10)
        # A paragraph after a backspace is left as it is: that is how click marks one.
        whole = [(name, "\n".join(("\b", *wrapped(text, room)))) for name, text in rows]
        super().write_dl(whole, col_max, col_spacing)

    def write_text(self, text: str) -> None:
        """Paragraphs, indented."""
        for paragraph in text.split("\n\n"):
            for line in wrapped(" ".join(paragraph.split()), self.width - self.current_indent):
                self.write(f"{'':>{self.current_indent}}{line}\n")


class Context(typer.Context):
    """What a command is called with; knows how help is written."""

    formatter_class = _Pages


class Command(TyperCommand):
    """A command whose help is written here and whose wrong use is told in our words."""

    context_class = Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises WrongUsage."""
        with told_in_our_words(ctx):
            same = ctx.token_normalize_func or str
            return super().parse_args(ctx, with_values_named(self.get_params(ctx), args, same))

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, in the language in force."""
        return _translated(super().get_help_option(ctx))

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click gives it
        """All of it: the lines are wrapped, nothing need be cut."""
        return self.help or ""


class Group(TyperGroup):
    """Several commands whose help is written here and whose wrong use is told in our words."""

    context_class = Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises WrongUsage."""
        with told_in_our_words(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Raises WrongUsage."""
        with told_in_our_words(ctx):
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

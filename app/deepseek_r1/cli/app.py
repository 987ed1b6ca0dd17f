"""All commands in one program, and what becomes of their errors."""

from __future__ import annotations

import importlib
import re
from typing import Annotated, Any, NamedTuple

import typer

from deepseek_r1 import __version__
from deepseek_r1.cli import help_pages, output
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import N_, tr


class _Place(NamedTuple):
    """Where a command is imported from when it is wanted, and what it is for.

    Converting brings numpy along, which would cost a chat 20 MiB of its budget.
    """

    module: str
    name: str
    help: str


_COMMANDS = {
    "generate": _Place(
        "generate",
        "generate",
        N_(
            "Answer one question. The answer goes to standard output, the thinking to the terminal."
        ),
    ),
    "chat": _Place(
        "chat",
        "chat",
        N_("Talk with a model. /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves."),
    ),
    "plan": _Place(
        "plan", "plan", N_("Show what a model would cost in memory. Nothing is loaded.")
    ),
    "models": _Place("models", "app", N_("The models on this computer.")),
    "convert": _Place(
        "convert",
        "convert",
        N_("Write a model as a GGUF file of another precision. A run that was ended goes on."),
    ),
    "quality": _Place(
        "quality",
        "quality",
        N_("Compare two versions of a model on a text: quality, size, memory and speed."),
    ),
    "prune": _Place(
        "prune",
        "prune",
        N_("Remove the least important feed-forward channels. Loses quality: compare before use."),
    ),
    "bench": _Place("bench", "app", N_("How fast this computer runs a model.")),
    "doctor": _Place(
        "doctor",
        "doctor",
        N_("Check this computer and say what to do. Exit status 1 where something does not work."),
    ),
}


class _Commands(help_pages.Group):
    """The commands, in their order, imported one by one."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click asks so
        """Their names."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click asks so
        """The command, imported now; None for a name that there is not."""
        if cmd_name not in _COMMANDS:
            return None
        place = _COMMANDS[cmd_name]
        found: Any = getattr(importlib.import_module(f"deepseek_r1.cli.{place.module}"), place.name)
        if isinstance(found, typer.Typer):
            several = typer.main.get_group(found)
            several.name, several.help = cmd_name, tr(place.help)
            return several
        alone = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
        )
        alone.command(cmd_name, cls=help_pages.Command, help=tr(place.help))(found)
        return typer.main.get_command(alone)


def normalised(option: str) -> str:
    """Options are declared with hyphens and accepted with underscores as well.

    Choices pass here too: the underscore of q8_0 stands before a digit and stays.
    """
    return re.sub("_(?=[a-z])", "-", option)


app = typer.Typer(
    name="deepseek-r1",
    help=tr("DeepSeek-R1 and its kin on this computer's processor, inside one memory budget."),
    no_args_is_help=True,
    cls=_Commands,
    context_settings={"token_normalize_func": normalised},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        output.result(f"deepseek-r1 {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help=tr("Show the version and exit."),
        ),
    ] = False,
) -> None:
    """Options that belong to no command."""


def run() -> int:
    """Run the command line and return its exit code. A bug of ours comes out as a traceback."""
    help_pages.speak_our_language()
    try:
        app(standalone_mode=True)
    except R1Error as error:
        output.error(error)
        return error.exit_code
    return 0

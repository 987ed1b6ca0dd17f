"""The program `deepseek-r1`: its commands, imported on use, and the handling of errors."""

from __future__ import annotations

import importlib
import re
from typing import Annotated, Any, NamedTuple

import typer

from deepseek_r1 import __version__
from deepseek_r1.cli import console, help_pages
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr


class _Place(NamedTuple):
    """The module, name and help of a command that is imported on use.

    The converter imports numpy, which would cost a chat 20 MiB of its budget.
    """

    module: str
    name: str
    help: str


_COMMANDS = {
    "generate": _Place(
        "generate_command",
        "generate",
        N_(
            "Answer one question. The answer goes to standard output, the thinking to the terminal."
        ),
    ),
    "chat": _Place(
        "chat_command",
        "chat",
        N_("Talk with a model. /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves."),
    ),
    "plan": _Place(
        "plan_command", "plan", N_("Show what a model would cost in memory. Nothing is loaded.")
    ),
    "models": _Place("models_command", "app", N_("The models on this computer.")),
    "convert": _Place(
        "convert_command",
        "convert",
        N_("Write a model as a GGUF file of another precision. An interrupted run is continued."),
    ),
    "quality": _Place(
        "quality_command",
        "quality",
        N_("Compare two versions of a model on a text: quality, size, memory and speed."),
    ),
    "prune": _Place(
        "prune_command",
        "prune",
        N_("Remove the least important feed-forward channels. Loses quality: compare before use."),
    ),
    "serve": _Place(
        "serve_command",
        "serve",
        N_("Serve a model over HTTP, as OpenAI's clients expect it. Ctrl-C or SIGTERM ends it."),
    ),
    "cluster": _Place(
        "cluster_command",
        "cluster",
        N_("Start a gateway before several servers, or print its configuration."),
    ),
    "bench": _Place("bench_command", "app", N_("How fast this computer runs a model.")),
    "doctor": _Place(
        "doctor_command",
        "doctor",
        N_("Check this computer and say what to do. Exit status 1 where something does not work."),
    ),
}


class _Commands(help_pages.HelpGroup):
    """The group of all commands, each imported on use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the commands' names in order."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's signature
        """Import and return a command, None for an unknown name."""
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
        alone.command(cmd_name, cls=help_pages.HelpCommand, help=tr(place.help))(found)
        return typer.main.get_command(alone)


def normalised(option: str) -> str:
    """Returns an option's name with hyphens in place of underscores.

    click passes choices as well: the underscore of q8_0 is before a digit and stays.
    """
    return re.sub("_(?=[a-z])", "-", option)


app = typer.Typer(
    name="deepseek-r1",
    help=tr(
        "DeepSeek-R1 and its relatives on this computer's processor, within one memory budget."
    ),
    no_args_is_help=True,
    cls=_Commands,
    context_settings={"token_normalize_func": normalised},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(requested: bool) -> None:
    if requested:
        console.result(f"deepseek-r1 {__version__}")
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
    """The options that belong to no command."""


def run() -> int:
    """Run the command line and return its exit code. A bug ends in a traceback."""
    help_pages.use_catalogue_for_typer()
    try:
        app(standalone_mode=True)
    except R1Error as error:
        console.error(error)
        return error.exit_code
    return 0

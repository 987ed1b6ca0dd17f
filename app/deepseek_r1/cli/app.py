"""All commands in one program, and what becomes of their errors."""

from __future__ import annotations

import importlib
import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from deepseek_r1 import __version__
from deepseek_r1.cli import output
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import tr

# Each command with the place it is imported from when it is wanted: converting brings numpy along,
# which would cost a chat 20 MiB of its budget.
_COMMANDS = {
    "generate": "generate:generate",
    "chat": "chat:chat",
    "plan": "plan:plan",
    "models": "models:app",
    "convert": "convert:convert",
    "quality": "quality:quality",
    "bench": "bench:app",
    "doctor": "doctor:doctor",
}


class _Commands(TyperGroup):
    """The commands, in their order, imported one by one."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click asks so
        """Their names."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click asks so
        """The command, imported now; None for a name that there is not."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found: Any = getattr(importlib.import_module(f"deepseek_r1.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            several = typer.main.get_group(found)
            several.name = cmd_name
            return several
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(cmd_name)(found)
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
    try:
        app(standalone_mode=True)
    except R1Error as error:
        output.error(error)
        return error.exit_code
    return 0

"""The program `deepseek-r1`: its commands, imported on use, and the handling of errors."""

from importlib import import_module

import click

from deepseek_r1 import __version__
from deepseek_r1.cli import console
from deepseek_r1.cli.command import (
    INTERRUPTED,
    Group,
    normalised,
    option,
    printing,
    use_catalogue_for_click,
)
from deepseek_r1.core import wings
from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.i18n import tr

_COMMANDS = (
    "generate", "chat", "compare", "plan", "models", "convert", "quality", "prune", "serve",
    "bench", "doctor",
)  # fmt: skip


class _Commands(Group):
    """The group of all commands; each is imported from its module on use.

    The converter imports numpy, which would cost a chat 20 MiB of its budget.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [each for each in _COMMANDS if each not in wings.ENTRIES or wings.is_here(each)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command
        if cmd_name in wings.ENTRIES:
            command = wings.entry(cmd_name)
        else:
            module = import_module(f"deepseek_r1.cli.{cmd_name}_command")
            command = getattr(module, cmd_name)
        return command


@click.group(
    "deepseek-r1",
    cls=_Commands,
    context_settings={"token_normalize_func": normalised, "show_default": True},
    help=tr(
        "DeepSeek-R1 and its relatives on this computer's processor, within one memory budget."
    ),
)
@option(
    "--version", tr("Show the version and exit."), is_flag=True, is_eager=True, expose_value=False,
    callback=printing(lambda ctx: f"{ctx.info_name} {__version__}"),
)  # fmt: skip
def app() -> None:
    """The options that belong to no command."""


def run() -> int:
    """Run the command line and return its exit code. A bug ends in a traceback."""
    use_catalogue_for_click()
    try:
        code = app.main(prog_name="deepseek-r1", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "deepseek-r1"
        hint = tr("“{command} --help” lists what is available.", command=command)
        problem = WrongUsage(detail=f"{error.format_message()}\n{hint}")
        console.error(problem)
        return problem.exit_code
    except R1Error as error:
        console.error(error)
        return error.exit_code
    except click.Abort:  # Ctrl-C
        return INTERRUPTED
    return code if isinstance(code, int) else 0

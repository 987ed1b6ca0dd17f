"""All commands in one program, and what becomes of their errors."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from deepseek_r1 import __version__
from deepseek_r1.cli import convert, doctor, generate, models, output, plan
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.words import tr


def normalised(option: str) -> str:
    """Options are declared with hyphens and accepted with underscores as well.

    Choices pass here too: the underscore of q8_0 stands before a digit and stays.
    """
    return re.sub("_(?=[a-z])", "-", option)


app = typer.Typer(
    name="deepseek-r1",
    help=tr("DeepSeek-R1 and its kin on this computer's processor, inside one memory budget."),
    no_args_is_help=True,
    add_completion=False,
    context_settings={"token_normalize_func": normalised},
    pretty_exceptions_enable=False,
)
app.command("generate")(generate.generate)
app.command("plan")(plan.plan)
app.command("convert")(convert.convert)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")


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

"""Runs the real command, in this process or in one of its own."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from unittest.mock import patch

import click
from click.testing import CliRunner

from deepseek_r1.cli.app import app
from deepseek_r1.cli.app import run as run_commands
from deepseek_r1.core.i18n import use_language
from support.patience import PATIENCE_S

SOURCE = Path(__file__).resolve().parents[2] / "app"
COMMAND = [sys.executable, "-m", "deepseek_r1.cli"]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "LANG": "C.UTF-8", "COLUMNS": "200", **extra}


@cache
def import_all_commands() -> None:
    """In English: the help of an option is translated when its command is imported."""
    use_language("en")
    for name in app.list_commands(click.Context(app)):
        app.get_command(click.Context(app), name)


def run_here(
    *args: str | Path, text: str = "", language: str = "en", **env: str
) -> subprocess.CompletedProcess[str]:
    """The command in this process, which saves a second; what it measures of itself is wrong."""
    import_all_commands()
    use_language(language)
    words = ["deepseek-r1", *map(str, args)]
    with (
        patch.object(sys, "argv", words),
        patch.dict(os.environ, {"COLUMNS": "200", "LANGUAGE": language, **env}),  # click reads it
        CliRunner().isolation(input=text) as (out, err, *_),
    ):
        try:
            code: int | str | None = run_commands()
        except SystemExit as ended:
            code = ended.code
        sys.stdout.flush()
        sys.stderr.flush()
        written = [stream.getvalue().decode("utf-8") for stream in (out, err)]
    return subprocess.CompletedProcess(words, code, *written)


def run(*args: str | Path, text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """The finished command in a process of its own; its output as text."""
    return _finished([*COMMAND, *map(str, args)], text, env)


def run_code(code: str, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A finished interpreter that ran `code`, with our packages to import."""
    return _finished([sys.executable, "-c", code, *map(str, arguments)], None, env)


def _finished(
    command: list[str], text: str | None, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text,
        env=environment(**env),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S * 4,
        check=False,
    )


def start(*args: str | Path) -> subprocess.Popen[str]:
    """The command, running, with pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, args)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )

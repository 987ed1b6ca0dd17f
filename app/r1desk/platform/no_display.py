"""Takes the window's place where Qt cannot show one: a chat in the terminal, or a sentence.

Imports nothing of Qt, which would end the process at once here.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr
from r1desk.platform.display import missing_packages, platforms

COMMAND = "deepseek-r1"


class NoDisplay(R1Error):
    """Neither a screen for the window nor a terminal for a chat."""

    what = N_("There is no screen here, and no terminal to chat in.")
    why = N_("Neither DISPLAY nor WAYLAND_DISPLAY names a screen that answers.")
    todo = N_("Ask from a pipe instead: {command}")


class DisplayLibrariesMissing(R1Error):
    """There is a screen, but Qt lacks libraries of the system to use it."""

    what = N_("The window cannot be opened: libraries of the system are missing.")
    why = N_("Qt needs them to show windows on this screen.")
    todo = N_("Install them and start again. Debian, Ubuntu: sudo apt install {packages}")


class WindowLibrariesMissing(R1Error):
    """The package was installed as a library, without Qt."""

    what = N_("The window's libraries are not installed.")
    todo = N_("Install them: pip install 'r1desk[desktop,starter]'.")


def require_window(arguments: Sequence[str]) -> None:
    """Return where Qt can show the window; else go on as a chat in this terminal.

    Raises NoDisplay, DisplayLibrariesMissing and WindowLibrariesMissing. `arguments` are the
    program's, without its name.
    """
    if importlib.util.find_spec("PySide6") is None:
        raise WindowLibrariesMissing
    found = platforms(arguments=arguments)
    if not found:
        _chat_in_terminal(arguments)
    if packages := missing_packages(found):
        raise DisplayLibrariesMissing(packages=" ".join(packages))


def _chat_in_terminal(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by `deepseek-r1 chat`. Raises NoDisplay without a terminal."""
    if not (os.isatty(0) and os.isatty(1)):
        question = shlex.quote(tr("Why is the sky blue?"))
        raise NoDisplay(command=f"echo {question} | {_typed_command()} generate")
    print(  # noqa: T201 - there is no window to show it in
        tr("There is no screen here, so the chat goes on in this terminal."), file=sys.stderr
    )
    sys.stderr.flush()
    models = [argument for argument in arguments if not argument.startswith("-")][:1]
    command = [*_command_line(), "chat", *(f"--model={model}" for model in models)]
    os.execv(command[0], command)  # noqa: S606 - the terminal and its signals are the chat's alone


def _command_line() -> list[str]:
    """The start of a command line of `deepseek-r1`, in a bundle, a wheel or a checkout."""
    if getattr(sys, "frozen", False):
        return [str(Path(sys.executable).with_name(COMMAND))]
    # -P: a module in the current folder must not stand in for one of ours.
    return [sys.executable, "-P", "-m", "deepseek_r1.cli"]


def _typed_command() -> str:
    """`deepseek-r1` as a person can type it here: with its folder where it is not on the path."""
    beside = Path(sys.executable).with_name(COMMAND)
    found = shutil.which(COMMAND)
    if found is not None and Path(found).resolve() == beside.resolve():
        return COMMAND
    return shlex.quote(str(beside)) if beside.is_file() else COMMAND

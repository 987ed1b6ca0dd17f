"""Takes the window's place where Qt cannot show one: a chat in the terminal, or one answer.

Imports nothing of Qt, which would end the process at once here.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_, tr
from r1desk.platform.display import missing_packages, platforms

COMMAND = "deepseek-r1"
# In English, which is all that the starter model knows.
QUESTION = "Write one sentence about the sea."


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
    """Return where Qt can show the window; else go on in this terminal, or answer one question.

    Raises DisplayLibrariesMissing and WindowLibrariesMissing, and SystemExit after an answer.
    `arguments` are the program's, without its name.
    """
    if importlib.util.find_spec("PySide6") is None:
        raise WindowLibrariesMissing
    found = platforms(arguments=arguments)
    if not found:
        models = [argument for argument in arguments if not argument.startswith("-")][:1]
        options = [f"--model={model}" for model in models]
        if os.isatty(0) and os.isatty(1):
            _chat_in_terminal(options)
        raise SystemExit(_answer_one_question(options))
    if packages := missing_packages(found):
        raise DisplayLibrariesMissing(packages=" ".join(packages))


def _chat_in_terminal(options: list[str]) -> NoReturn:
    """Replace this process by `deepseek-r1 chat`."""
    _print_note(tr("There is no screen here, so you can chat in this terminal."))
    command = [*_command_line(), "chat", *options]
    os.execv(command[0], command)  # noqa: S606 - the terminal and its signals are the chat's alone


def _answer_one_question(options: list[str]) -> int:
    """Let `deepseek-r1 generate` answer on standard output; return its exit status."""
    _print_note(
        tr("There is no screen here, and no terminal to chat in. So one question is answered:")
    )
    _print_note(f"› {QUESTION}\n")
    command = [*_command_line(), "generate", QUESTION, "--temperature=0", "--max-tokens=64"]
    status = subprocess.run([*command, *options], stdin=subprocess.DEVNULL, check=False).returncode
    typed = _typed_command()
    rows = {
        f"{typed} generate {shlex.quote(tr('Why is the sky blue?'))}": tr("ask something else"),
        f"{typed} chat": tr("chat in a terminal"),
        f"{typed} serve": tr("serve OpenAI's API to other programs"),
        f"{typed} --help": tr("everything else"),
    }
    _print_note("\n" + "\n".join(f"{command}    # {what}" for command, what in rows.items()))
    return abs(status)


def _print_note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - there is no window to show it in


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

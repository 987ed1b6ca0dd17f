"""Reads messages from standard input, with history and over several lines."""

from __future__ import annotations

import contextlib
import importlib
import select
import sys
from collections import deque
from pathlib import Path
from types import ModuleType

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o

HISTORY_LINES = 1000
_QUOTES = '"""'


class LineInput:
    """Reads messages from standard input. A context manager that keeps the history on disk."""

    def __init__(self, history: Path) -> None:
        """`history` is the file of earlier messages, which arrow-up recalls on a terminal."""
        self.terminal = sys.stdin.isatty()
        self._history = history
        self._ahead: deque[str] = deque()  # lines typed during an answer
        self._readline = _readline() if self.terminal else None

    def __enter__(self) -> LineInput:
        if self._readline is not None:
            with contextlib.suppress(OSError):  # missing, or not a history file
                self._readline.read_history_file(self._history)
            self._readline.set_history_length(HISTORY_LINES)
        return self

    def __exit__(self, *_: object) -> None:
        if self._readline is None:
            return
        try:
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._history.touch(mode=0o600)  # it holds the user's messages
            self._readline.write_history_file(self._history)
        except OSError as error:
            console.note(f"{self._history}: {error.strerror or error}")

    def message(self) -> str | None:
        """Returns the next message, None at the end of the input.

        A line that ends with a backslash continues on the next one. Three quotes begin and end a
        message of several lines.
        """
        line = self._line("› ")
        if line is None:
            return None
        if line.lstrip().startswith(_QUOTES):
            text = line.lstrip().removeprefix(_QUOTES)
            while not text.rstrip().endswith(_QUOTES) and (more := self._line("… ")) is not None:
                text += f"\n{more}"
            return text.rstrip().removesuffix(_QUOTES).strip("\n")
        while line.endswith("\\"):
            line = f"{line[:-1]}\n{self._line('… ') or ''}"
        return line

    def _line(self, prompt: str) -> str | None:
        if self._ahead:
            return self._ahead.popleft()
        try:
            if self.terminal and sys.stdout.isatty():
                return o.clean_text(input(prompt))
            if self.terminal:
                console.status(prompt)
            line = sys.stdin.readline()
        except EOFError:
            return None
        return o.clean_text(line.rstrip("\r\n")) if line else None

    def typed_meanwhile(self) -> str:
        """Returns a line that is ready on standard input, else an empty text. Never blocks."""
        if not self.terminal or sys.platform == "win32":
            return ""
        if not select.select([sys.stdin], [], [], 0)[0]:
            return ""
        return sys.stdin.readline().rstrip("\r\n")

    def keep(self, line: str) -> None:
        """Keep a line that was typed early as the next message."""
        self._ahead.append(line)


def _readline() -> ModuleType | None:
    """Returns the readline module, None on systems without it."""
    try:
        return importlib.import_module("readline")
    except ImportError:
        return None

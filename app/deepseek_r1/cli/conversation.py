"""A conversation in the terminal: its messages, and the lines that are typed."""

from __future__ import annotations

import contextlib
import importlib.util
import select
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.core.events import FinishReason
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, PartialAnswer, Role
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.engine.interface import GenerationResult

HISTORY_LINES = 1000
_QUOTES = '"""'


@dataclass(slots=True)
class Conversation:
    """The messages so far. The system message is kept apart in `system`."""

    system: str = ""
    messages: list[Message] = field(default_factory=list)
    thinking: str = ""  # the last answer's
    partial: PartialAnswer | None = None  # the last answer, if it ended early
    documents: DocumentIndex = field(default_factory=DocumentIndex)

    def prompt(self) -> list[Message]:
        first = [Message(role=Role.SYSTEM, content=self.system)] if self.system else []
        return first + self.messages

    def drop_last_answer(self) -> bool:
        """Remove the last answer. Returns False if there is no message to answer."""
        self.partial = None
        if self.messages and self.messages[-1].role is Role.ASSISTANT:
            self.messages.pop()
        return bool(self.messages)

    def add_answer(self, answer: GenerationResult, before: PartialAnswer | None) -> None:
        """Add an answer; `before` is its part that it continues, which is in the messages."""
        stats = answer.stats
        whole = (before or PartialAnswer()).extended(answer.partial)
        if before is not None and before.text:
            self.messages.pop()
        if whole.text:
            self.messages.append(Message(role=Role.ASSISTANT, content=whole.text))
        self.thinking = whole.thinking
        complete = stats.finish_reason is FinishReason.STOP and not stats.inside_thinking
        self.partial = None if complete else whole

    def as_markdown(self, model: str) -> str:
        names = {Role.USER: tr("You"), Role.ASSISTANT: model, Role.SYSTEM: tr("System prompt")}
        return "".join(f"## {names[m.role]}\n\n{m.content}\n\n" for m in self.prompt())


class LineInput:
    """Reads messages from standard input. A context manager that keeps the history on disk."""

    def __init__(self, history: Path) -> None:
        """`history` is the file of earlier messages, which arrow-up recalls on a terminal."""
        self.terminal = sys.stdin.isatty()
        self._history = history
        self._ahead: deque[str] = deque()  # lines typed during an answer
        with_history = self.terminal and importlib.util.find_spec("readline")
        self._readline = importlib.import_module("readline") if with_history else None

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
            make_private_dir(self._history.parent)
            self._history.touch(mode=0o600)  # it holds the user's messages
            self._readline.write_history_file(self._history)
        except OSError as error:
            console.note(f"{self._history}: {error.strerror or error}")

    def message(self) -> str | None:
        """Returns the next message, None at the end. `/help` says how a long one is typed."""
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
        return o.clean_text(sys.stdin.readline().rstrip("\r\n"))

    def keep(self, line: str) -> None:
        """Keep a line that was typed early as the next message."""
        self._ahead.append(line)


def save(conversation: Conversation, model: str, name: str) -> Path:
    """Write the conversation into a new file. Raises OSError, also if the file exists."""
    path = Path(name) if name else Path(time.strftime("chat-%Y-%m-%d-%H%M%S.md"))
    with path.open("x", encoding="utf-8") as file:
        file.write(conversation.as_markdown(model))
    return path

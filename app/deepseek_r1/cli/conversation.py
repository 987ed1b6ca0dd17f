"""A conversation in the terminal: what was said, and one more answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from deepseek_r1.cli import output
from deepseek_r1.cli.answering import summary
from deepseek_r1.cli.generate import Answer
from deepseek_r1.cli.lines import Lines
from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    PrefillProgress,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.host.client import EngineClient

TIMER_EVERY_S = 0.2


@dataclass(slots=True)
class Conversation:
    """What was said so far. The system's message is no part of `said`."""

    system: str = ""
    said: list[Message] = field(default_factory=list)
    thinking: str = ""  # of the last answer

    def messages(self) -> list[Message]:
        """All that the model is told."""
        first = [Message(role=Role.SYSTEM, content=self.system)] if self.system else []
        return first + self.said

    def clear(self) -> None:
        """Begin anew, under the same system message."""
        self.said.clear()
        self.thinking = ""

    def drop_last_answer(self) -> bool:
        """Leave the last question open again; False where there is none."""
        if self.said and self.said[-1].role is Role.ASSISTANT:
            self.said.pop()
        return bool(self.said)

    def as_markdown(self, model: str) -> str:
        """A text to keep."""
        names = {Role.USER: tr("You"), Role.ASSISTANT: model, Role.SYSTEM: tr("System prompt")}
        return "".join(f"## {names[m.role]}\n\n{m.content}\n\n" for m in self.messages())


class Answering:
    """Streams one answer to the terminal. `stop` may be called from a signal's handler."""

    def __init__(self, engine: EngineClient, lines: Lines) -> None:
        self._engine = engine
        self._lines = lines
        self._stopping = False
        self._timer_shown_at = 0.0

    def stop(self) -> bool:
        """End the answer; False where that was asked before."""
        before, self._stopping = self._stopping, True
        self._engine.cancel()
        return not before

    def run(self, conversation: Conversation, sampling: SamplingSettings, *, quiet: bool) -> Answer:
        """The answer to what was said last; it becomes part of the conversation.

        `quiet`: nothing is shown, for whoever prints it otherwise. Raises R1Error.
        """
        answer = Answer()
        try:
            for event in self._engine.generate(conversation.messages(), sampling):
                answer.take(event)
                if not quiet:
                    self._show(event)
                self._look_at_input()
        finally:
            output.status("")
            text = "".join(answer.text_parts)
            conversation.thinking = "".join(answer.thinking_parts)
            if text:
                conversation.said.append(Message(role=Role.ASSISTANT, content=text))
        if not quiet:
            output.answer("\n")
            output.aside(output.dimmed(summary(answer.stats)))
        return answer

    def _look_at_input(self) -> None:
        line = self._lines.typed_meanwhile()
        if line.strip() == "/stop":
            self.stop()
        elif line:
            self._lines.keep(line)

    def _show(self, event: Event) -> None:
        match event:
            case PrefillProgress(done=done, total=total) if done < total:
                output.status(tr("Reading: {done} of {total} tokens", done=done, total=total))
            case PrefillProgress():
                output.status("")
            case ThinkingDelta(elapsed_s=seconds):
                self._show_timer(seconds)
            case ThinkingFinished(seconds=seconds):
                output.status("")
                output.aside(
                    output.dimmed(tr("Thought for {n} s; /think shows it", n=f"{seconds:.1f}"))
                )
            case AnswerDelta(text=text):
                output.answer(text)

    def _show_timer(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._timer_shown_at >= TIMER_EVERY_S:
            self._timer_shown_at = now
            output.status(output.dimmed(tr("Thinking… {n} s", n=f"{seconds:.0f}")))


def save(conversation: Conversation, model: str, name: str) -> Path:
    """Write the conversation into a new file. Raises OSError; a file that exists is kept."""
    path = Path(name) if name else Path(time.strftime("chat-%Y-%m-%d-%H%M%S.md"))
    with path.open("x", encoding="utf-8") as file:
        file.write(conversation.as_markdown(model))
    return path

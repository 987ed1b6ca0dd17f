"""The answer being written, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from r1desk.chat.values import ShownMessage


@dataclass
class Answer:
    """The answer being written, in memory; the store has it up to the last save."""

    conversation_id: int
    message_id: int
    request_id: int = 0
    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    thinking_s: float = 0.0
    dirty: bool = False
    stop_wanted: bool = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.content)

    @property
    def thought(self) -> str:
        """The thinking so far."""
        return "".join(self.thinking)

    def over(self, stored: ShownMessage) -> ShownMessage:
        """A stored message as it is now: with all of the text, if it is this answer."""
        if stored.id != self.message_id:
            return stored
        return replace(stored, content=self.text, thinking=self.thought, thinking_s=self.thinking_s)

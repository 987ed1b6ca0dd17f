"""The answer being written, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field


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

"""What the chat view shows, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.messages import Role

ShownState = Literal["complete", "streaming", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """One message of the branch on screen, with its place among its versions.

    `content` is the exact text: Markdown for an answer, plain text for a user. `sibling_index`
    counts from 0. `error_text` is meant for people and shown for a failed answer.
    """

    id: int
    role: Role | Literal["user", "assistant", "system"]
    content: str
    thinking: str = ""
    thinking_s: float = 0.0
    state: ShownState | str = "complete"
    stats: GenerationStats | None = None
    error_text: str = ""
    model_name: str = ""
    sibling_index: int = 0
    sibling_count: int = 1

    @property
    def is_answer(self) -> bool:
        """True for what a model wrote."""
        return self.role == Role.ASSISTANT

"""A message of the conversation on the screen, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deepseek_r1.core.errors import ErrorReport, PromptTooLong
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.core.messages import Role
from r1desk.store import Attachment

# "queued": an empty answer that waits until another one is finished; the store knows "streaming".
MessageStatus = Literal["complete", "streaming", "queued", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the branch on screen, with its place among its versions.

    `content` is the exact text: Markdown for an answer, plain text for a user. `sibling_index`
    counts from 0. `error_text` is meant for people and shown for a failed answer.
    """

    id: int
    role: Role | Literal["user", "assistant", "system"]
    content: str
    thinking: str = ""
    thinking_s: float = 0.0
    state: MessageStatus | str = "complete"
    stats: GenerationStats | None = None
    error_text: str = ""
    model_name: str = ""
    sibling_index: int = 0
    sibling_count: int = 1
    attachments: tuple[Attachment, ...] = ()
    edited: bool = False
    memory_start: bool = False  # the model reads the conversation from here on
    error: ErrorReport | None = None

    @property
    def is_answer(self) -> bool:
        """True for what a model wrote."""
        return self.role == Role.ASSISTANT

    def with_state(self, state: MessageStatus) -> ChatMessage:
        """The same message in another state."""
        return replace(self, state=state)


def fills_context(message: ChatMessage) -> bool:
    """True for an answer that was refused or cut because the context is full."""
    if not message.is_answer:
        return False
    if message.state == "failed":
        return message.error is not None and isinstance(message.error.error, PromptTooLong)
    return message.stats is not None and message.stats.finish_reason is FinishReason.CONTEXT


def discardable(message: ChatMessage) -> bool:
    """True for an ended answer without any text: it is replaced, not kept as a version."""
    ended = message.state in {"failed", "stopped"}
    return message.is_answer and ended and not message.content and not message.thinking

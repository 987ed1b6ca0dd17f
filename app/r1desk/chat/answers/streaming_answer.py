"""The answer being written, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import GenerationStats
from r1desk.chat.values.answer_queue import QueuedAnswer
from r1desk.chat.values.message import ended_inside_thinking, merged_stats
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.store import ChatMessage, MessageState


@dataclass
class StreamingAnswer:
    """The answer being written, in memory; the store has it up to the last save."""

    begun: ChatMessage  # what it continues
    answers_now: bool = False  # the user ended the thinking before this continuation
    request: EngineRequest | None = None
    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    thinking_s: float = 0.0  # once the thinking is over
    thinking_so_far_s: float = 0.0
    dirty: bool = False
    stop_wanted: bool = False

    @classmethod
    def of(cls, queued: QueuedAnswer) -> StreamingAnswer:
        """An answer whose turn has come, with the text that it continues."""
        begun = queued.message
        answer = cls(begun, queued.answers_now, content=[begun.content], thinking=[begun.thinking])
        if not ended_inside_thinking(begun):
            answer.thinking_s = begun.thinking_s
        return answer

    @property
    def message_id(self) -> int:
        """The message that it is."""
        return self.begun.id

    @property
    def conversation_id(self) -> int:
        """The conversation that it belongs to."""
        return self.begun.conversation_id

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.content)

    @property
    def thinking_text(self) -> str:
        """The thinking so far."""
        return "".join(self.thinking)

    def over(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with all of the text so far, if it is this answer."""
        if stored.id != self.begun.id:
            return stored
        thinking_s = self.thinking_s or self.begun.thinking_s
        return replace(
            stored, content=self.text, thinking=self.thinking_text, thinking_s=thinking_s
        )

    def ended(
        self, state: MessageState, stats: GenerationStats | None, error: ErrorReport | None
    ) -> ChatMessage:
        """The whole answer; it may end inside of the thinking."""
        return replace(
            self.begun,
            content=self.text,
            thinking=self.thinking_text,
            thinking_s=self.thinking_s or self.thinking_so_far_s,
            state=state,
            stats=merged_stats(self.begun.stats, stats),
            error=error,
        )

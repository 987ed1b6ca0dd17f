"""The answer being written, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from deepseek_r1.core.events import GenerationStats
from r1desk.chat.values.answer_queue import QueuedAnswer
from r1desk.chat.values.message import ChatMessage
from r1desk.engine.engine_bridge import EngineRequest


@dataclass
class StreamingAnswer:
    """The answer being written, in memory; the store has it up to the last save."""

    conversation_id: int
    message_id: int
    request: EngineRequest | None = None
    content: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    thinking_s: float = 0.0  # once the thinking is over
    thinking_so_far_s: float = 0.0
    thinking_before_s: float = 0.0  # of the part that is continued
    before: GenerationStats | None = None  # of that part
    answers_now: bool = False  # the user ended the thinking before this continuation
    dirty: bool = False
    stop_wanted: bool = False

    @classmethod
    def of(cls, queued: QueuedAnswer) -> StreamingAnswer:
        """An answer whose turn has come, with the text that it continues."""
        answer = cls(queued.conversation_id, queued.message_id, answers_now=queued.answers_now)
        if (started := queued.continues) is not None:
            answer.content, answer.thinking = [started.content], [started.thinking]
            answer.thinking_before_s, answer.before = started.thinking_s, started.stats
            if not started.inside_thinking:
                answer.thinking_s = started.thinking_s
        return answer

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
        if stored.id != self.message_id:
            return stored
        return replace(
            stored,
            content=self.text,
            thinking=self.thinking_text,
            thinking_s=self.thinking_s or self.thinking_before_s,
        )

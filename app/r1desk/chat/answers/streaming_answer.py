"""The answer being written: from the engine's events to the memory and the disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.pending_writes import PendingWrites
from r1desk.chat.values.prompt import ended_inside_thinking, merged_stats
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.store import ChatMessage, MessageState

_STOPPED = events.GenerationStats(finish_reason=events.FinishReason.CANCELLED)
SAVE_EVERY_MS = 500  # what the model says is on disk at least once a second


@dataclass(frozen=True, slots=True)
class QueuedAnswer:
    """A stored answer whose generation has not begun: `message` is empty, or goes on.

    `left_out` are messages of its branch that its prompt does not have. `sampling` stands in place
    of the conversation's. `fills_context`: it is generated even where less than the reserve is
    free. `answers_now`: its thinking is ended at once.
    """

    message: ChatMessage
    left_out: frozenset[int] = frozenset()
    sampling: SamplingSettings | None = None
    fills_context: bool = False
    answers_now: bool = False


@dataclass
class StreamingAnswer:
    """The answer being written, in memory; the store has it up to the last save."""

    begun: ChatMessage  # what it continues
    answers_now: bool  # the user ended the thinking before this continuation
    content: str
    thinking: str
    thinking_s: float  # once the thinking is over
    thinking_so_far_s: float
    request: EngineRequest | None = None
    dirty: bool = False
    stop_wanted: bool = False
    so_far: events.GenerationStats = _STOPPED  # as far as events tell; for an end without any
    first_text_s: float = 0.0  # since the request
    whole: ChatMessage | None = None  # once it has ended

    @classmethod
    def of(cls, queued: QueuedAnswer) -> StreamingAnswer:
        begun = queued.message
        thinking_s = 0.0 if ended_inside_thinking(begun) else begun.thinking_s
        texts = begun.content, begun.thinking
        return cls(begun, queued.answers_now, *texts, thinking_s, begun.thinking_s)

    @property
    def message_id(self) -> int:
        return self.begun.id

    @property
    def conversation_id(self) -> int:
        return self.begun.conversation_id

    def save(self, pending_writes: PendingWrites) -> None:
        """Save what there is, if the store has less."""
        if self.dirty:
            self.dirty = False
            stats = merged_stats(self.begun.stats, self.so_far)
            pending_writes.save_progress(self.message_id, self.content, self.thinking, stats)

    def over(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with all of the text so far, if it is this answer."""
        if stored.id != self.begun.id:
            return stored
        thinking_s = self.thinking_s or self.begun.thinking_s
        return replace(stored, content=self.content, thinking=self.thinking, thinking_s=thinking_s)

    def take(self, event: events.Event) -> ChatMessage | None:
        """Take in an event of the engine; returns the whole message with the last one."""
        match event:
            case events.PrefillProgress(total=total, cached=cached):
                self.so_far = self.so_far.model_copy(
                    update={"prompt_tokens": total, "cached_tokens": cached}
                )
            case events.AnswerDelta(text=text):
                self.content += text
                self._count(event)
            case events.ThinkingDelta(text=text, elapsed_s=elapsed_s):
                self.thinking += text
                self.thinking_so_far_s = self.begun.thinking_s + elapsed_s
                self._count(event)
            case events.ThinkingFinished(seconds=seconds):
                self.thinking_s = self.begun.thinking_s + seconds
            case events.GenerationFinished(stats=stats):
                stopped = stats.finish_reason == events.FinishReason.CANCELLED
                if self.answers_now and stats.thinking_end is not None:
                    request = events.ThinkingEnd.REQUEST
                    stats = stats.model_copy(update={"thinking_end": request})
                return self.ended(MessageState.STOPPED if stopped else MessageState.COMPLETE, stats)
        return None

    def _count(self, delta: events.AnswerDelta | events.ThinkingDelta) -> None:
        self.dirty = True
        self.first_text_s = self.first_text_s or delta.elapsed_s
        written_s = delta.elapsed_s - self.first_text_s
        update = {"completion_tokens": delta.completion_tokens, "decode_s": written_s}
        self.so_far = self.so_far.model_copy(update=update)

    def as_shown(self, event: events.Event) -> events.Event:
        """The event, which `take` knows; a thinking that was continued has all of its time."""
        if not isinstance(event, events.ThinkingFinished):
            return event
        end = events.ThinkingEnd.REQUEST if self.answers_now else event.end
        return event.model_copy(update={"seconds": self.thinking_s, "end": end})

    def ended(
        self,
        state: MessageState,
        stats: events.GenerationStats | None = None,
        error: ErrorReport | None = None,
    ) -> ChatMessage:
        """The whole message, which may end inside of the thinking."""
        sources = self.begun.sources
        self.dirty = False
        self.whole = replace(
            self.begun,
            sources=sources and sources.of_answer(self.content),
            content=self.content,
            thinking=self.thinking,
            thinking_s=self.thinking_s or self.thinking_so_far_s,
            state=state,
            stats=merged_stats(self.begun.stats, stats),
            error=error,
        )
        return self.whole

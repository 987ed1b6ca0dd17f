"""The answer being written: from the engine's events to the memory, the disk and the view.

What the model says is on disk at least once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.messages import Message, PartialAnswer
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.protocol import GenerateRequest
from r1desk.chat.answers.pending_writes import PendingWrites
from r1desk.chat.values.message import ended_inside_thinking, merged_stats
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.store import ChatMessage, MessageState

SAVE_EVERY_MS = 500


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
    whole: ChatMessage | None = None  # once it has ended

    @classmethod
    def of(cls, queued: QueuedAnswer) -> StreamingAnswer:
        """An answer whose turn has come, with the text that it continues."""
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
            pending_writes.save_progress(self.message_id, self.content, self.thinking)

    def over(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with all of the text so far, if it is this answer."""
        if stored.id != self.begun.id:
            return stored
        thinking_s = self.thinking_s or self.begun.thinking_s
        return replace(stored, content=self.content, thinking=self.thinking, thinking_s=thinking_s)

    def take(self, event: events.Event) -> ChatMessage | None:
        """Take in an event of the engine; returns the whole message with the last one."""
        match event:
            case events.AnswerDelta(text=text):
                self.content += text
                self.dirty = True
            case events.ThinkingDelta(text=text, elapsed_s=elapsed_s):
                self.thinking += text
                self.thinking_so_far_s = self.begun.thinking_s + elapsed_s
                self.dirty = True
            case events.ThinkingFinished(seconds=seconds):
                self.thinking_s = self.begun.thinking_s + seconds
            case events.GenerationFinished(stats=stats):
                stopped = stats.finish_reason == events.FinishReason.CANCELLED
                if self.answers_now and stats.thinking_end is not None:
                    request = events.ThinkingEnd.REQUEST
                    stats = stats.model_copy(update={"thinking_end": request})
                return self.ended(MessageState.STOPPED if stopped else MessageState.COMPLETE, stats)
        return None

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
            sources=sources and sources.cited_by(self.content),
            content=self.content,
            thinking=self.thinking,
            thinking_s=self.thinking_s or self.thinking_so_far_s,
            state=state,
            stats=merged_stats(self.begun.stats, stats),
            error=error,
        )
        return self.whole


class AnswerGeneration(QObject):
    """One answer at a time; its signal is for the conversation on the screen only."""

    streamed = Signal(int, object)  # message, Event

    def __init__(
        self,
        engine: EngineBridge,
        pending_writes: PendingWrites,
        shown: Callable[[], int | None],
        parent: QObject,
    ) -> None:
        """`shown` is the conversation on the screen."""
        super().__init__(parent)
        self._engine, self._pending_writes, self._shown = engine, pending_writes, shown
        self.answer: StreamingAnswer | None = None
        self._save_timer = QTimer(self, interval=SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self.save)

    def expect(self, queued: QueuedAnswer) -> None:
        """From here on this message, which is stored, is the answer being written."""
        self.answer = StreamingAnswer.of(queued)
        self._save_timer.start()

    def ask(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        *,
        reserve: int = 0,
        continues: PartialAnswer | None = None,
    ) -> None:
        """Have the expected answer written, where the context has `reserve` tokens free for it."""
        assert self.answer is not None  # noqa: S101 - `expect` was called
        request = self._engine.submit(
            GenerateRequest,
            messages=tuple(messages),
            sampling=sampling,
            reserve=reserve,
            continues=continues,
        )
        request.event.connect(partial(self._on_event, self.answer))
        request.failed.connect(partial(self._on_failed, self.answer))
        self.answer.request = request
        if self.answer.stop_wanted:
            request.cancel()

    def discard(self) -> None:
        """Expect no answer any more."""
        self._save_timer.stop()
        self.answer = None

    def answer_now(self) -> None:
        """End the thinking; the answer follows."""
        if self.answer is not None and self.answer.request is not None:
            self.answer.request.end_thinking()

    def stop(self) -> None:
        """End the answer; what is there stays."""
        if self.answer is not None:
            self.answer.stop_wanted = True
            if self.answer.request is not None:
                self.answer.request.cancel()

    @Slot()
    def save(self) -> None:
        """Save what there is of the answer."""
        if self.answer is not None:
            self.answer.save(self._pending_writes)

    def close(self) -> None:
        """Save what there is for the last time. What the engine says afterwards finds no answer.

        At the next start the store counts such an answer as stopped.
        """
        self.save()
        self.discard()

    # ---- the engine's events ----------------------------------------------------------------

    def _on_event(self, answer: StreamingAnswer, event: events.Event) -> None:
        if answer is not self.answer:
            return
        if (ended := answer.take(event)) is not None:
            self._finish(ended)
        elif answer.conversation_id == self._shown():
            self.streamed.emit(answer.message_id, answer.as_shown(event))

    def _on_failed(self, answer: StreamingAnswer, report: ErrorReport) -> None:
        if answer is self.answer:
            self._finish(answer.ended(MessageState.FAILED, error=report))

    def _finish(self, message: ChatMessage) -> None:
        """Store the whole answer. `PendingWrites` says when it is stored, or could not be."""
        self.discard()
        self._pending_writes.finish(message)

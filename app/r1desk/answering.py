"""The answer being written: from the engine's events to the memory, the disk and the view.

What the model says is on disk at least once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from r1desk.answer import Answer
from r1desk.bridge import EngineBridge
from r1desk.store import MessageState
from r1desk.unsaved import Ending, Unsaved

SAVE_EVERY_MS = 500


class Answering(QObject):
    """One answer at a time; its signals are for the conversation on the screen only."""

    answer_streamed = Signal(int, str)  # message, text
    thinking_streamed = Signal(int, str)
    thinking_finished = Signal(int, float)
    prefill_progressed = Signal(int, object)  # message, PrefillProgress

    def __init__(
        self,
        engine: EngineBridge,
        unsaved: Unsaved,
        is_shown: Callable[[int], bool],
        parent: QObject,
    ) -> None:
        """`is_shown` tells whether a conversation is on the screen."""
        super().__init__(parent)
        self._engine = engine
        self._unsaved = unsaved
        self._is_shown = is_shown
        self.answer: Answer | None = None
        self._save_timer = QTimer(self, interval=SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self.save)
        engine.event.connect(self._on_event)
        engine.failed.connect(self._on_failed)

    def expect(self, conversation_id: int, message_id: int) -> None:
        """From here on this message, which is stored and empty, is the answer being written."""
        self.answer = Answer(conversation_id, message_id)
        self._save_timer.start()

    def ask(self, messages: Sequence[Message], sampling: SamplingSettings) -> None:
        """Have the expected answer written."""
        assert self.answer is not None  # noqa: S101 - `expect` was called
        self.answer.request_id = self._engine.generate(messages, sampling)
        if self.answer.stop_wanted:
            self._engine.cancel(self.answer.request_id)

    def stop(self) -> None:
        """End the answer; what is there stays."""
        if self.answer is not None:
            self.answer.stop_wanted = True
            if self.answer.request_id:
                self._engine.cancel(self.answer.request_id)

    @Slot()
    def save(self) -> None:
        """Save what there is of the answer, if the store has less."""
        answer = self.answer
        if answer is None or not answer.dirty:
            return
        answer.dirty = False
        self._unsaved.save_progress(answer.message_id, answer.text, answer.thought)

    def close(self) -> None:
        """Save what there is for the last time. What the engine says afterwards finds no answer.

        At the next start the store counts such an answer as stopped.
        """
        self.save()
        self._save_timer.stop()
        self.answer = None

    # ---- the engine's events ----------------------------------------------------------------

    @Slot(int, object)
    def _on_event(self, request_id: int, event: events.GenerationEvent) -> None:
        answer = self.answer
        if answer is None or request_id != answer.request_id:
            return
        shown = self._is_shown(answer.conversation_id)
        match event:
            case events.AnswerDelta(text=text):
                answer.content.append(text)
                answer.dirty = True
                if shown:
                    self.answer_streamed.emit(answer.message_id, text)
            case events.ThinkingDelta(text=text):
                answer.thinking.append(text)
                answer.dirty = True
                if shown:
                    self.thinking_streamed.emit(answer.message_id, text)
            case events.ThinkingFinished(seconds=seconds):
                answer.thinking_s = seconds
                if shown:
                    self.thinking_finished.emit(answer.message_id, seconds)
            case events.PrefillProgress():
                if shown:
                    self.prefill_progressed.emit(answer.message_id, event)
            case events.GenerationFinished(stats=stats):
                stopped = stats.finish_reason == events.FinishReason.CANCELLED
                state = MessageState.STOPPED if stopped else MessageState.COMPLETE
                self._finish(answer, state, stats, None)

    @Slot(int, ErrorReport)
    def _on_failed(self, request_id: int, report: ErrorReport) -> None:
        answer = self.answer
        if answer is not None and request_id == answer.request_id:
            self._finish(answer, MessageState.FAILED, None, report)

    def _finish(
        self,
        answer: Answer,
        state: MessageState,
        stats: events.GenerationStats | None,
        report: ErrorReport | None,
    ) -> None:
        """Store the end of the answer; `Unsaved` says when it is, or could not be."""
        self.answer = None
        self._save_timer.stop()
        self._unsaved.finish(
            Ending(
                answer.conversation_id,
                answer.message_id,
                answer.text,
                answer.thought,
                answer.thinking_s,
                stats,
                state,
                report,
            )
        )

"""An answer for another program, which gives the engine to the window's own answers.

The engine cancels it when the user wants an answer. It goes on afterwards: the engine continues
its text where it can, otherwise it begins anew, and the program gets no text before the end.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Slot

from deepseek_r1.core import events
from deepseek_r1.core.errors import EngineBusy, ErrorReport
from deepseek_r1.core.messages import PartialAnswer, RawPrompt
from deepseek_r1.host.protocol import (
    ClosingReply,
    DoneReply,
    ErrorReply,
    EventReply,
    GenerateRequest,
)
from deepseek_r1.host.supervisor_events import EngineState
from r1desk.chat.values.message import merged_stats
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest

LOOK_AGAIN_MS = 200  # whether the engine is free again


class ServedAnswer(QObject):
    """One request of the server, until its closing reply. Main thread."""

    def __init__(
        self,
        engine: EngineBridge,
        request: GenerateRequest,
        send: Callable[[EventReply | ClosingReply], None],
        parent: QObject,
    ) -> None:
        """`send` gets the replies, with the number of the server's request."""
        super().__init__(parent)
        self._engine, self._wanted, self._send = engine, request, send
        self._continuable = not request.json_schema and not (request.raw and request.raw.tokens)
        self._text, self._thinking = "", ""
        self._held: list[EventReply] = []
        self._stats: events.GenerationStats | None = None
        self._submitted: EngineRequest | None = None
        self._cancelled = self._interrupted = False
        self._waiting = QTimer(self, interval=LOOK_AGAIN_MS)
        self._waiting.timeout.connect(self._on_look_again)
        self._submit()

    @property
    def paused(self) -> bool:
        """True while it waits for the user's answer to end."""
        return self._waiting.isActive()

    def cancel(self) -> None:
        """End it: the program has left, or the server is switched off."""
        self._cancelled = True
        if self._submitted is not None:
            self._submitted.cancel()
        elif self.paused:
            self._waiting.stop()
            self._end_cancelled()

    def _end_cancelled(self) -> None:
        """Close a request that was cancelled while it was interrupted."""
        reason = events.FinishReason.CANCELLED
        ended = events.GenerationStats(finish_reason=reason)
        stats = merged_stats(self._stats, ended) or ended
        self._reply(events.GenerationFinished(stats=stats))
        self._close(DoneReply(id=self._wanted.id))

    def _submit(self) -> None:
        self._interrupted = False
        request = self._engine.submit(GenerateRequest, **self._fields())
        request.event.connect(self._on_event)
        request.done.connect(self._on_done)
        request.failed.connect(self._on_failed)
        self._submitted = request

    def _fields(self) -> dict[str, object]:
        """The fields of the request, or of its continuation."""
        wanted, stats = self._wanted, self._stats
        fields: dict[str, object] = {
            "messages": wanted.messages,
            "raw": wanted.raw,
            "sampling": wanted.sampling,
            "json_schema": wanted.json_schema,
            "yields": True,
        }
        if stats is None or not (self._text or self._thinking):
            return fields
        changes = {"max_tokens": max(1, wanted.sampling.max_tokens - stats.completion_tokens)}
        if (budget := wanted.sampling.thinking_budget) is not None:
            changes["thinking_budget"] = max(0, budget - stats.thinking_tokens)
        fields["sampling"] = wanted.sampling.model_copy(update=changes)
        if wanted.raw is not None:
            fields["raw"] = RawPrompt(text=wanted.raw.text + self._text, suffix=wanted.raw.suffix)
        else:
            inside = bool(self._thinking) and not self._text and stats.thinking_end is None
            fields["continues"] = PartialAnswer(
                thinking=self._thinking, text=self._text, inside_thinking=inside
            )
        return fields

    # ---- the engine's replies ---------------------------------------------------------------

    @Slot(object)
    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.AnswerDelta(text=text):
                self._text += text
            case events.ThinkingDelta(text=text):
                self._thinking += text
            case events.GenerationFinished(stats=stats):
                self._on_finished(stats)
                return
            case events.LoadProgress() | events.ModelLoaded():
                return  # the model is loaded again after a crash
        self._reply(event)

    def _on_finished(self, stats: events.GenerationStats) -> None:
        self._interrupted = (
            stats.finish_reason is events.FinishReason.CANCELLED and not self._cancelled
        )
        if self._interrupted and not self._continuable:
            self._held, self._text, self._thinking = [], "", ""
            return
        self._stats = merged_stats(self._stats, stats)
        if not self._interrupted and self._stats is not None:
            self._reply(events.GenerationFinished(stats=self._stats))

    @Slot(object)
    def _on_done(self, _reply: object) -> None:
        self._submitted = None
        if self._interrupted and self._cancelled:  # between the engine's last event and its reply
            self._end_cancelled()
        elif self._interrupted:
            self._waiting.start()
        else:
            self._close(DoneReply(id=self._wanted.id))

    @Slot(ErrorReport)
    def _on_failed(self, report: ErrorReport) -> None:
        self._submitted = None
        if report.code == EngineBusy.__name__ and not self._cancelled:
            self._waiting.start()
        else:
            self._close(ErrorReply(id=self._wanted.id, report=report))

    @Slot()
    def _on_look_again(self) -> None:
        if self._engine.state is not EngineState.GENERATING:
            self._waiting.stop()
            self._submit()

    # ---- to the server ----------------------------------------------------------------------

    def _reply(self, event: events.Event) -> None:
        reply = EventReply(id=self._wanted.id, event=event)
        if self._continuable:
            self._send(reply)
        else:
            self._held.append(reply)

    def _close(self, closing: ClosingReply) -> None:
        for reply in self._held:
            self._send(reply)
        self._held = []
        self._send(closing)
        self.deleteLater()

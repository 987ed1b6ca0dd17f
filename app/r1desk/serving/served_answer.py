"""An answer for another program, which gives the engine to the window's own answers.

The engine cancels it when the user wants an answer. It goes on afterwards: the engine continues
its text where it can, otherwise it begins anew, and the program gets no text before the end.
"""

from collections.abc import Callable

from PySide6.QtCore import QObject

from deepseek_r1.core import events
from deepseek_r1.core.errors import EngineBusy, R1Error
from deepseek_r1.core.messages import PartialAnswer, RawPrompt
from deepseek_r1.host.protocol import (
    ClosingReply,
    DoneReply,
    EngineState,
    ErrorReply,
    EventReply,
    GenerateRequest,
)
from r1desk.chat.values.prompt import merged_stats
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.platform.tasks import Tasks, later_turn, task

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
        self._cancelled = False
        self.tasks = Tasks(self)
        self._answer()

    @property
    def paused(self) -> bool:
        """True while it waits for the user's answer to end."""
        return self._submitted is None

    def cancel(self) -> None:
        """End it: the program has left, or the server is switched off."""
        self._cancelled = True
        if self._submitted is not None:
            self._submitted.cancel()

    @task
    async def _answer(self) -> None:
        closing = await self._ask()
        while closing is None and not self._cancelled:
            await later_turn(self, LOOK_AGAIN_MS)
            if self._engine.state is not EngineState.GENERATING and not self._cancelled:
                closing = await self._ask()
        if closing is None:  # cancelled while it was interrupted
            ended = events.GenerationStats(finish_reason=events.FinishReason.CANCELLED)
            stats = merged_stats(self._stats, ended) or ended
            self._reply(events.GenerationFinished(stats=stats))
            closing = DoneReply(id=self._wanted.id)
        for reply in self._held:
            self._send(reply)
        self._send(closing)
        self.deleteLater()

    def _fields(self) -> dict[str, object]:
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

    async def _ask(self) -> ClosingReply | None:
        """Have it generated; None where it is interrupted: the user wants an answer."""
        is_interrupted = False
        self._submitted = request = self._engine.submit(GenerateRequest, **self._fields())
        try:
            async for event in request:
                match event:
                    case events.AnswerDelta(text=text):
                        self._text += text
                    case events.ThinkingDelta(text=text):
                        self._thinking += text
                    case events.GenerationFinished(stats=stats):
                        is_interrupted = self._is_interruption(stats)
                        continue
                    case events.LoadProgress() | events.ModelLoaded():
                        continue  # the model is loaded again after a crash
                self._reply(event)
        except R1Error as refused:
            if not isinstance(refused, EngineBusy) or self._cancelled:
                return ErrorReply(id=self._wanted.id, report=refused.report())
            is_interrupted = True
        finally:
            self._submitted = None
        return None if is_interrupted else DoneReply(id=self._wanted.id)

    def _is_interruption(self, stats: events.GenerationStats) -> bool:
        is_cancelled = stats.finish_reason is events.FinishReason.CANCELLED
        if is_cancelled and not self._cancelled and not self._continuable:
            self._held, self._text, self._thinking = [], "", ""
            return True
        self._stats = merged_stats(self._stats, stats)
        if is_cancelled and not self._cancelled:
            return True
        if self._stats is not None:
            self._reply(events.GenerationFinished(stats=self._stats))
        return False

    # ---- to the server ----------------------------------------------------------------------

    def _reply(self, event: events.Event) -> None:
        reply = EventReply(id=self._wanted.id, event=event)
        if self._continuable:
            self._send(reply)
        else:
            self._held.append(reply)

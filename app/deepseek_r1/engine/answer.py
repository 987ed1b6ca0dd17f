"""From sampled tokens to events: the account of one answer while it is written."""

from __future__ import annotations

import time

from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.engine.base import Answer
from deepseek_r1.engine.detokenizer import Detokenizer
from deepseek_r1.engine.reasoning import Part, Piece, ReasoningSplitter


class AnswerWriter:
    """Counts, times and splits one answer. Times are seconds since the request."""

    def __init__(self, *, opened: bool, started: float) -> None:
        """`opened`: the prompt opened a thinking block. `started`: the request's `perf_counter`."""
        self._started = started
        self._detokenizer = Detokenizer()
        self._splitter = ReasoningSplitter(opened=opened)
        self._thought = False
        self.tokens = 0
        self.thinking_tokens = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.prefill_s = 0.0
        self._first_s = 0.0
        self._last_s = 0.0
        self._thinking_s: float | None = None
        self._last_thought_s = 0.0

    @property
    def answering(self) -> bool:
        """The thinking is over, if there was any: what follows is the answer."""
        return self._splitter.answering

    def sampled(self) -> None:
        """A token was chosen, of whatever kind."""
        self._last_s = time.perf_counter() - self._started
        if not self.tokens:
            self._first_s = self._last_s
        self.tokens += 1

    def feed(self, piece: bytes) -> list[GenerationEvent]:
        """What the newest token said."""
        return self._events(self._splitter.feed(self._detokenizer.feed(piece)))

    def finish(self) -> list[GenerationEvent]:
        """What was held back until now."""
        pieces = self._splitter.feed(self._detokenizer.finish())
        return self._events(pieces + self._splitter.finish())

    def stats(
        self, reason: FinishReason, *, context_used: int, seed: int, peak_mib: float
    ) -> GenerationStats:
        """The final account."""
        thinking_s = self._last_thought_s if self._thinking_s is None else self._thinking_s
        return GenerationStats(
            finish_reason=reason,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.tokens,
            thinking_tokens=self.thinking_tokens,
            ttft_s=self._first_s,
            prefill_s=self.prefill_s,
            decode_s=self._last_s - self._first_s,
            thinking_s=thinking_s,
            context_used=context_used,
            seed=seed,
            peak_mib=peak_mib,
        )

    def _events(self, pieces: list[Piece]) -> list[GenerationEvent]:
        if self._splitter.thinking:
            self.thinking_tokens = self.tokens
            self._last_thought_s = self._last_s - self._first_s
        events: list[GenerationEvent] = []
        for part, text in pieces:
            if part is Part.ANSWER:
                events.append(
                    AnswerDelta(text=text, completion_tokens=self.tokens, elapsed_s=self._last_s)
                )
            elif part is Part.THINKING:
                self._thought = True
                events.append(
                    ThinkingDelta(text=text, completion_tokens=self.tokens, elapsed_s=self._last_s)
                )
            else:
                self.thinking_tokens = self.tokens
                self._thinking_s = self._last_s - self._first_s
                if self._thought:  # an empty block is no thinking to speak of
                    events.append(ThinkingFinished(seconds=self._thinking_s))
        return events


class AnswerCollector:
    """Gathers the texts of an answer's events."""

    def __init__(self) -> None:
        self._answer: list[str] = []
        self._thinking: list[str] = []

    def add(self, events: list[GenerationEvent]) -> None:
        """Keep the texts among `events`."""
        for event in events:
            if isinstance(event, AnswerDelta):
                self._answer.append(event.text)
            elif isinstance(event, ThinkingDelta):
                self._thinking.append(event.text)

    def answer(self, stats: GenerationStats) -> Answer:
        """The whole."""
        return Answer("".join(self._answer), "".join(self._thinking), stats)

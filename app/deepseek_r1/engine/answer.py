"""From sampled tokens to events: the account of one answer while it is written."""

from __future__ import annotations

import time
from collections.abc import Sequence

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

TAG_END = b">"  # the last byte of every tag


class AnswerWriter:
    """Counts, times and splits one answer. Times are seconds since the request.

    Reading what tokens say, and events, cost more than a token's own bookkeeping. So text may wait
    for more of it: all that waits is read at once, which changes nothing but the number of events.
    """

    def __init__(self, *, opened: bool, started: float, text_every_s: float = 0.0) -> None:
        """`opened`: the prompt opened a thinking block. `started`: the request's `perf_counter`.

        `text_every_s`: text that follows an event within this time waits; a slow model's never.
        """
        self._started = started
        self._text_every_s = text_every_s
        self._waiting = b""
        self._due_s = 0.0  # text waits until then
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

    def took(self, said: bytes | None) -> Sequence[GenerationEvent]:
        """A token was chosen and said this; None for one that ends the answer.

        Gives what waited and this, or nothing while it may wait. What may end a tag does not wait:
        `answering` and the account of the thinking are exact.
        """
        self._last_s = time.perf_counter() - self._started
        if not self.tokens:
            self._first_s = self._last_s
        self.tokens += 1
        if said is None:
            return ()
        self._waiting += said
        if self._last_s < self._due_s and TAG_END not in said:
            return ()
        events = self._events(self._splitter.feed(self._read_waiting()))
        if events:
            self._due_s = self._last_s + self._text_every_s
        return events

    @property
    def waits_until(self) -> float:
        """The `perf_counter` until which text may wait."""
        return self._started + self._due_s

    def heard(self, said: bytes, tokens: int) -> None:
        """Tokens said this, none of which ends a tag or the answer; it waits for the next one."""
        self.tokens += tokens
        self._waiting += said

    def finish(self) -> Sequence[GenerationEvent]:
        """What was held back until now."""
        text = self._read_waiting() + self._detokenizer.finish()
        return self._events(self._splitter.feed(text) + self._splitter.finish())

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

    def _read_waiting(self) -> str:
        waiting, self._waiting = self._waiting, b""
        return self._detokenizer.feed(waiting)

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

    def add(self, events: Sequence[GenerationEvent]) -> None:
        """Keep the texts among `events`."""
        for event in events:
            if isinstance(event, AnswerDelta):
                self._answer.append(event.text)
            elif isinstance(event, ThinkingDelta):
                self._thinking.append(event.text)

    def answer(self, stats: GenerationStats) -> Answer:
        """The whole."""
        return Answer("".join(self._answer), "".join(self._thinking), stats)

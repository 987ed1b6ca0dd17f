"""Turns sampled tokens into events, and counts and times one answer."""

import codecs
import time
from collections.abc import Sequence

from deepseek_r1.core.events import (
    AnswerDelta,
    AnswerSource,
    Event,
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingFinished,
    TokenLogprob,
)
from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.output.reasoning import (
    THINK,
    OutputSegment,
    ReasoningSplitter,
    SegmentKind,
    StopMatcher,
    ThinkingFormat,
)

_new_decoder = codecs.getincrementaldecoder("utf-8")
TAG_LAST_BYTE = b">"  # the last byte of every tag


class GenerationOutput:
    """Counts, times and splits one answer. Times are seconds since the request.

    Decoding text and making events cost more than the bookkeeping of a token. So text may wait for
    more of it and is then decoded at once, which changes nothing but the number of events.
    """

    def __init__(
        self,
        *,
        thinking_open: bool,
        started: float,
        text_every_s: float = 0.0,
        sampling: SamplingSettings | None = None,
        plain: bool = False,
        form: ThinkingFormat = THINK,
    ) -> None:
        """`thinking_open`: the prompt opened a thinking block. `started`: the request's
        `perf_counter`.

        `text_every_s`: text that follows an event within this time waits. A slow model's never
        does, nor one that `sampling` wants to be looked at token by token. `plain`: the text is all
        answer, thinking tags included.
        """
        self._started = started
        self._stops = StopMatcher(sampling.stop if sampling is not None else ())
        by_token = sampling is not None and (bool(sampling.stop) or sampling.logprobs)
        self._text_every_s = 0.0 if by_token else text_every_s
        self._pending = b""
        self._text_due_s = 0.0  # text waits until then
        self._decoder = _new_decoder("replace")  # a character may be spread over several tokens
        self._splitter = ReasoningSplitter(thinking_open=thinking_open, plain=plain, form=form)
        self._logprobs: list[TokenLogprob] = []  # of text that has not been returned
        self._has_thinking = False
        self._thinking_end: ThinkingEnd | None = None
        self._shown = {SegmentKind.THINKING: 0, SegmentKind.ANSWER: 0}
        self.tokens = 0
        self.thinking_tokens = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.restored_tokens = 0
        self.prefill_s = 0.0
        self._first_s = 0.0
        self._last_s = 0.0
        self._thinking_s: float | None = None
        self._last_thought_s = 0.0

    @property
    def answering(self) -> bool:
        """Whether the text is part of the answer: the thinking is over, or there was none."""
        return self._splitter.answering

    @property
    def thinking(self) -> bool:
        return self._splitter.thinking

    @property
    def answer_tokens(self) -> int:
        return 0 if self._splitter.thinking else self.tokens - self.thinking_tokens

    @property
    def stopped(self) -> bool:
        return bool(self._stops.found)

    def resume(self, text: bytes, shown: PartialAnswer) -> None:
        """Go on from an answer that began with `text`, of which `shown` was in events already.

        White space next to a tag, and what may become a tag or a stop sequence, is not shown until
        it is certain.
        """
        for kind, part in self._splitter.feed(self._decoder.decode(text)):
            if kind is SegmentKind.ANSWER:
                self._shown[kind] -= len(self._stops.feed(part))
            elif kind is SegmentKind.THINKING:
                self._shown[kind] -= len(part)
                self._has_thinking = True
        self._shown[SegmentKind.THINKING] += len(shown.thinking)
        self._shown[SegmentKind.ANSWER] += len(shown.text)

    def close_thinking(self, end: ThinkingEnd) -> Sequence[GenerationEvent]:
        """Close the thinking block without a token of the model's. Returns the events."""
        segments = self._splitter.feed(self._decode_pending())
        self._decoder.reset()  # drops an unfinished character
        if self._splitter.thinking:
            segments += self._splitter.close()
            self._thinking_end = end
        return self._events(segments)

    def on_token(
        self, text: bytes | None, logprob: TokenLogprob | None = None
    ) -> Sequence[GenerationEvent]:
        """Count a sampled token and return the events that are due.

        `text` is None for a token that ends the answer. Waiting text is returned with the new text,
        or all of it waits on. Text that may end a tag does not wait, so `answering` and the
        thinking's counts are exact.
        """
        self._last_s = time.perf_counter() - self._started
        if not self.tokens:
            self._first_s = self._last_s
        self.tokens += 1
        if text is None:
            return ()
        self._pending += text
        if logprob is not None:
            self._logprobs.append(logprob)
        if self._last_s < self._text_due_s and TAG_LAST_BYTE not in text:
            return ()
        events = self._events(self._splitter.feed(self._decode_pending()))
        if events:
            self._text_due_s = self._last_s + self._text_every_s
        return events

    @property
    def text_due_at(self) -> float:
        """The `perf_counter` until which text may wait."""
        return self._started + self._text_due_s

    def on_text(self, text: bytes, tokens: int) -> None:
        """Add the text of `tokens` tokens, which waits for the next token.

        None of them may end a tag or the answer.
        """
        self.tokens += tokens
        self._pending += text

    def finish(self, *, cut: bool = False) -> Sequence[GenerationEvent]:
        """Return the events of all text that still waits.

        `cut`: the answer may be continued, so an unfinished character is not shown.
        """
        text = self._decode_pending()
        if not cut:
            text += self._decoder.decode(b"", final=True)
        events = self._events(self._splitter.feed(text) + self._splitter.finish())
        return [*events, *self._answer(self._stops.finish())]

    def stats(
        self, reason: FinishReason, *, context_used: int, seed: int, peak_mib: float
    ) -> GenerationStats:
        thinking_s = self._last_thought_s if self._thinking_s is None else self._thinking_s
        return GenerationStats(
            finish_reason=reason,
            inside_thinking=self._splitter.thinking,
            thinking_end=self._thinking_end,
            stop_sequence=self._stops.found,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            restored_tokens=self.restored_tokens,
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

    def _decode_pending(self) -> str:
        pending, self._pending = self._pending, b""
        return self._decoder.decode(pending)

    def _events(self, segments: list[OutputSegment]) -> list[GenerationEvent]:
        if self._splitter.thinking:
            self.thinking_tokens = self.tokens
            self._last_thought_s = self._last_s - self._first_s
        events: list[GenerationEvent] = []
        for kind, text in segments:
            if kind is SegmentKind.ANSWER:
                events += self._answer(self._stops.feed(text))
            elif kind is SegmentKind.THINKING:
                events += self._thought(text)
            else:
                events += self._closed()
        return events

    def _thought(self, text: str) -> list[GenerationEvent]:
        self._has_thinking = True
        self._logprobs.clear()
        if not (new := self._not_shown(SegmentKind.THINKING, text)):
            return []
        return [ThinkingDelta(text=new, completion_tokens=self.tokens, elapsed_s=self._last_s)]

    def _closed(self) -> list[GenerationEvent]:
        self.thinking_tokens = self.tokens
        self._logprobs.clear()
        self._thinking_s = self._last_s - self._first_s
        self._thinking_end = self._thinking_end or ThinkingEnd.MODEL
        if not self._has_thinking:  # an empty block is no thinking to speak of
            return []
        return [ThinkingFinished(seconds=self._thinking_s, end=self._thinking_end)]

    def _answer(self, text: str) -> list[GenerationEvent]:
        if not (new := self._not_shown(SegmentKind.ANSWER, text)):
            return []
        logprobs, self._logprobs = tuple(self._logprobs), []
        return [
            AnswerDelta(
                text=new, completion_tokens=self.tokens, elapsed_s=self._last_s, logprobs=logprobs
            )
        ]

    def _not_shown(self, kind: SegmentKind, text: str) -> str:
        """Return `text` without the beginning that an answer before its continuation had."""
        skipped = min(max(0, self._shown[kind]), len(text))
        self._shown[kind] -= skipped
        return text[skipped:]


class ResultCollector:
    """Assembles an answer from its events."""

    def __init__(self) -> None:
        self._answer_parts: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._thinking_parts: list[str] = []
        self._sources: tuple[AnswerSource, ...] = ()
        self._stats = GenerationStats(
            finish_reason=FinishReason.ERROR
        )  # if the last event is missing

    def add(self, *events: Event) -> None:
        """Append what `events` have; others than those of an answer have nothing."""
        for event in events:
            match event:
                case AnswerDelta(text=text, logprobs=logprobs):
                    self._answer_parts.append(text)
                    self._logprobs += logprobs
                case ThinkingDelta(text=text):
                    self._thinking_parts.append(text)
                case GenerationFinished(stats=stats, sources=sources):
                    self._stats, self._sources = stats, sources

    @property
    def text(self) -> str:
        return "".join(self._answer_parts)

    @property
    def thinking(self) -> str:
        return "".join(self._thinking_parts)

    def result(self) -> GenerationResult:
        logprobs = tuple(self._logprobs)
        return GenerationResult(self.text, self.thinking, self._stats, logprobs, self._sources)

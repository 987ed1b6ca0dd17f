"""Thread counts measured for a model's shape on this machine, kept in the user's profile.

Measured only when asked: it computes with the loaded model for up to twenty seconds. What is kept
is where the governor of threads starts from and the most it uses; a count the user sets wins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.events import (
    AnswerDelta,
    GenerationEvent,
    PrefillProgress,
    ThinkingDelta,
    ThreadsMeasured,
)
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware import cpu

FILE_NAME = "threads.json"
MEASURE_S = 10.0  # the first pieces of each trial come on top of it
_GOOD_ENOUGH = 0.97  # of the best rate: fewer threads leave more to everything else
_LEAST_TOKENS = 2
_ANSWERS = 4  # tried for one rate, where a model likes to be brief
_PROMPT_WORDS, _CONTEXT_PER_WORD = 100, 16
_COUNTS_MOST = 5


Clock = Callable[[], float]


class Measurable(Protocol):
    """`CPUInference`, as far as it is needed here."""

    def stream(
        self, prompt: str, max_tokens: int | None = None, *, sampling: SamplingSettings
    ) -> Iterator[GenerationEvent]:
        """The events of an answer."""
        ...

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Fixed counts; 0 is automatic."""
        ...


class _Kept(BaseModel):
    """The file: counts by machine and model shape."""

    model_config = ConfigDict(frozen=True)

    measured: dict[str, ThreadsMeasured] = {}


def shape_key(header: ModelHeader) -> str:
    """What counts depend on: the processor, the cores we may use, the model's widths and types."""
    machine, quantisation = cpu(), header.quantisation
    shape = f"{header.architecture} {header.embedding}x{header.blocks} {header.feed_forward}"
    return f"{machine.name} | {machine.usable_cores} | {shape} {quantisation}"


def known(header: ModelHeader, file: Path | None = None) -> ThreadsMeasured | None:
    """What was measured for this shape here; None where nothing was, or the file is damaged."""
    return _read(file or profile_dir() / FILE_NAME).measured.get(shape_key(header))


def keep(header: ModelHeader, found: ThreadsMeasured, file: Path | None = None) -> None:
    """Remember for the next load. Raises OSError where the profile cannot be written."""
    file = file or profile_dir() / FILE_NAME
    kept = _Kept(measured=_read(file).measured | {shape_key(header): found})
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(kept.model_dump_json(indent=1), encoding="utf-8")
    fresh.replace(file)


def _read(file: Path) -> _Kept:
    try:
        return _Kept.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return _Kept()
    except (OSError, ValidationError) as error:
        log.engine.warning("measured threads cannot be read and are measured anew: %s", error)
        return _Kept()


def worth_measuring(most: int) -> tuple[int, ...]:
    """At most five counts up to all usable cores, ascending."""
    if most <= _COUNTS_MOST:
        return tuple(range(1, most + 1))
    return tuple(sorted({1, most // 4, most // 2, most - 1, most}))


def measure(
    model: Measurable,
    counts: Sequence[int],
    context_length: int,
    go_on: Callable[[], bool] = lambda: True,
    *,
    clock: Clock = time.monotonic,
    total_s: float = MEASURE_S,
) -> ThreadsMeasured:
    """Try all `counts` upwards and back down again, for reading and for writing.

    `go_on` False ends it early with what is known. The model computes with automatic threads
    afterwards.
    """
    reading: dict[int, list[float]] = {}
    writing: dict[int, list[float]] = {}
    trial_s = total_s / (4 * len(counts))
    words = min(_PROMPT_WORDS, context_length // _CONTEXT_PER_WORD)
    try:
        for number, count in enumerate((*counts, *reversed(counts))):
            if number >= 1 and not go_on():
                break
            model.set_threads(count, count)
            # Other words in each trial, from the start on: nothing of the prompt is in the cache.
            prompt = f"{number}: " + " ".join(f"word{number}x{n}" for n in range(words))
            reading.setdefault(count, []).append(_reading_rate(model, prompt, trial_s, clock))
            writing.setdefault(count, []).append(_writing_rate(model, number, trial_s, clock))
    finally:
        model.set_threads(0, 0)
    read_tok_s = {count: sum(rates) / len(rates) for count, rates in reading.items()}
    write_tok_s = {count: sum(rates) / len(rates) for count, rates in writing.items()}
    return ThreadsMeasured(
        threads=_chosen(write_tok_s),
        threads_prefill=_chosen(read_tok_s),
        decode_tok_s=write_tok_s,
        prefill_tok_s=read_tok_s,
    )


def _chosen(rates: dict[int, float]) -> int:
    """The fewest threads that are nearly as fast as the fastest."""
    best = max(rates.values())
    return min(count for count, rate in rates.items() if rate >= _GOOD_ENOUGH * best)


def _reading_rate(model: Measurable, prompt: str, trial_s: float, clock: Clock) -> float:
    """Tokens of the prompt a second, until it is read or the time is over."""
    span = _Span()
    for event in _events(model, prompt, SamplingSettings(max_tokens=1)):
        if isinstance(event, PrefillProgress):
            span.add(event.done, clock())
            if span.seconds >= trial_s:
                break
    return span.tokens / span.seconds if span.seconds > 0 else 0.0


def _writing_rate(model: Measurable, number: int, trial_s: float, clock: Clock) -> float:
    """Tokens written a second, over a few answers where the first is short."""
    tokens, seconds = 0, 0.0
    for attempt in range(_ANSWERS):
        span = _Span()
        sampling = SamplingSettings(temperature=0.9, seed=_ANSWERS * number + attempt)
        for event in _events(model, f"Tell a long story, number {number}.", sampling):
            if isinstance(event, AnswerDelta | ThinkingDelta):
                span.add(event.completion_tokens, clock())
                if seconds + span.seconds >= trial_s and span.tokens >= _LEAST_TOKENS:
                    break
        tokens, seconds = tokens + span.tokens, seconds + span.seconds
        if seconds >= trial_s:
            break
    return tokens / seconds if seconds > 0 else 0.0


def _events(
    model: Measurable, prompt: str, sampling: SamplingSettings
) -> Iterator[GenerationEvent]:
    """An answer's events; leaving the loop over them ends the answer."""
    events = model.stream(prompt, sampling=sampling)
    try:
        yield from events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


class _Span:
    """Tokens between the first and the last moment that were added."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self.tokens, self.seconds = 0, 0.0

    def add(self, tokens: int, at_s: float) -> None:
        if self._first is None:
            self._first = tokens, at_s
        self.tokens, self.seconds = tokens - self._first[0], at_s - self._first[1]

"""Measures thread counts for a model's shape on this machine and keeps them in the user's profile.

This happens only on request: it computes with the loaded model for up to twenty seconds. The saved
counts are where the thread governor starts and the most it uses; a count set by the user wins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepseek_r1.core.events import (
    AnswerDelta,
    PrefillProgress,
    ThinkingDelta,
    ThreadsMeasured,
)
from deepseek_r1.core.measured_file import load_measured, measured_dir, save_measured
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.drafts import shape_key

if TYPE_CHECKING:
    from deepseek_r1.inference.cpu_inference import CPUInference

FILE_NAME = "threads.json"
MEASURE_S = 10.0  # without the first computation of each trial
_NEAR_BEST = 0.97  # of the best rate: fewer threads leave more to everything else
_MIN_TOKENS = 2
_MAX_ANSWERS = 4  # tried for one rate, where the model's answers are short
_PROMPT_LENGTH, _CONTEXT_PER_WORD = 100, 16
_MAX_COUNTS = 5


Clock = Callable[[], float]


def load_profile(header: ModelHeader, file: Path | None = None) -> ThreadsMeasured | None:
    """Return the saved counts for this shape; None where there are none or the file is damaged."""
    return load_measured(file or measured_dir() / FILE_NAME, shape_key(header), ThreadsMeasured)


def save_profile(header: ModelHeader, found: ThreadsMeasured, file: Path | None = None) -> None:
    """Save counts for the next load. Raises OSError where the profile cannot be written."""
    save_measured(file or measured_dir() / FILE_NAME, shape_key(header), found)


def counts_to_measure(most: int) -> tuple[int, ...]:
    """Return at most five counts up to all usable cores, ascending."""
    if most <= _MAX_COUNTS:
        return tuple(range(1, most + 1))
    return tuple(sorted({1, most // 4, most // 2, most - 1, most}))


def measure_threads(
    model: CPUInference,
    counts: Sequence[int],
    context_length: int,
    go_on: Callable[[], bool] = lambda: True,
    *,
    clock: Clock = time.monotonic,
) -> ThreadsMeasured:
    """Try all `counts` in ascending and then descending order, for prefill and for decode.

    `go_on` ends it early by returning False, with the results so far. The model uses automatic
    threads afterwards.
    """
    prefill: dict[int, list[float]] = {}
    decode: dict[int, list[float]] = {}
    trial_s = MEASURE_S / (4 * len(counts))
    length = min(_PROMPT_LENGTH, context_length // _CONTEXT_PER_WORD)
    try:
        for number, count in enumerate((*counts, *reversed(counts))):
            if number >= 1 and not go_on():
                break
            model.set_threads(count, count)
            # Each prompt differs from its first word on, so nothing of it is in the cache.
            prompt = f"{number}: " + " ".join(f"word{number}x{n}" for n in range(length))
            prefill.setdefault(count, []).append(_prefill_rate(model, prompt, trial_s, clock))
            decode.setdefault(count, []).append(_decode_rate(model, number, trial_s, clock))
    finally:
        model.set_threads(0, 0)
    prefill_tok_s = {count: sum(rates) / len(rates) for count, rates in prefill.items()}
    decode_tok_s = {count: sum(rates) / len(rates) for count, rates in decode.items()}
    return ThreadsMeasured(
        threads=_fewest_near_best(decode_tok_s),
        threads_prefill=_fewest_near_best(prefill_tok_s),
        decode_tok_s=decode_tok_s,
        prefill_tok_s=prefill_tok_s,
    )


def _fewest_near_best(rates: dict[int, float]) -> int:
    """Return the fewest threads that are nearly as fast as the fastest."""
    best = max(rates.values())
    return min(count for count, rate in rates.items() if rate >= _NEAR_BEST * best)


def _prefill_rate(model: CPUInference, prompt: str, trial_s: float, clock: Clock) -> float:
    """Return prompt tokens a second, until the prompt is computed or the time is over."""
    span = _Span()
    for event in model.stream(prompt, sampling=SamplingSettings(max_tokens=1)):
        if isinstance(event, PrefillProgress):
            span.add(event.done, clock())
            if span.seconds >= trial_s:
                break
    return span.tokens / span.seconds if span.seconds > 0 else 0.0


def _decode_rate(model: CPUInference, number: int, trial_s: float, clock: Clock) -> float:
    """Return decoded tokens a second, over several answers where the first is short."""
    tokens, seconds = 0, 0.0
    for attempt in range(_MAX_ANSWERS):
        span = _Span()
        sampling = SamplingSettings(temperature=0.9, seed=_MAX_ANSWERS * number + attempt)
        for event in model.stream(f"Tell a long story, number {number}.", sampling=sampling):
            if isinstance(event, AnswerDelta | ThinkingDelta):
                span.add(event.completion_tokens, clock())
                if seconds + span.seconds >= trial_s and span.tokens >= _MIN_TOKENS:
                    break
        tokens, seconds = tokens + span.tokens, seconds + span.seconds
        if seconds >= trial_s:
            break
    return tokens / seconds if seconds > 0 else 0.0


class _Span:
    """Counts tokens and seconds between the first and the last `add`."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self.tokens, self.seconds = 0, 0.0

    def add(self, tokens: int, at_s: float) -> None:
        if self._first is None:
            self._first = tokens, at_s
        self.tokens, self.seconds = tokens - self._first[0], at_s - self._first[1]

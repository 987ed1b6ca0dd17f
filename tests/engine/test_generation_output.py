"""The account of an answer: text may wait for more of it, and nothing else changes by that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.engine.output.generation_output import GenerationOutput

EVERY_S = 0.05


@dataclass
class Clock:
    """Stands in for `perf_counter`."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    stopped = Clock()
    with monkeypatch.context() as patch:
        patch.setattr("deepseek_r1.engine.output.generation_output.time.perf_counter", stopped)
        yield stopped


def text_of(events: list[GenerationEvent], kind: type = AnswerDelta) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def test_a_fast_model_comes_in_fewer_events_with_all_its_text(clock: Clock) -> None:
    output = GenerationOutput(thinking_open=False, started=0.0, text_every_s=EVERY_S)
    events: list[GenerationEvent] = []
    for number in range(100):
        clock.now += 0.01
        events += output.on_token(f"{number} ".encode())
    events += output.finish()
    assert text_of(events) == "".join(f"{number} " for number in range(100))
    assert 20 <= len(events) <= 22
    assert events[-1].completion_tokens == 100


def test_the_first_token_and_a_slow_model_do_not_wait(clock: Clock) -> None:
    output = GenerationOutput(thinking_open=False, started=0.0, text_every_s=EVERY_S)
    for number in range(3):
        assert text_of(list(output.on_token(f"{number} ".encode()))) == f"{number} "
        clock.now += EVERY_S


@dataclass
class Summary:
    """The results of an answer after its end, and of its state after each token."""

    thinking: str
    answer: str
    finished_s: list[float]
    answering: list[bool]
    stats: GenerationStats


def summarize(
    pieces: list[tuple[bytes, float]], *, thinking_open: bool, text_every_s: float
) -> Summary:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepseek_r1.engine.output.generation_output.time.perf_counter", clock)
        output = GenerationOutput(
            thinking_open=thinking_open, started=0.0, text_every_s=text_every_s
        )
        events: list[GenerationEvent] = []
        answering = []
        for piece, token_s in pieces:
            clock.now += token_s
            events += output.on_token(piece)
            answering.append(output.answering)
        events += output.finish()
    return Summary(
        thinking=text_of(events, ThinkingDelta),
        answer=text_of(events),
        finished_s=[event.seconds for event in events if isinstance(event, ThinkingFinished)],
        answering=answering,
        stats=output.stats(FinishReason.STOP, context_used=0, seed=0, peak_mib=0.0),
    )


@given(
    texts=st.lists(
        st.sampled_from(["<think>", "</think>", " ", "\n", "a", "b>", "<", "想", "🎉", "\x80"]),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    times=st.lists(st.sampled_from([0.001, 0.02, 0.06]), min_size=1, max_size=5),
    thinking_open=st.booleans(),
)
def test_waiting_changes_neither_texts_nor_times_nor_counts(
    texts: list[str], cuts: list[int], times: list[float], thinking_open: bool
) -> None:
    whole = "".join(texts).encode()
    pieces, at = [], 0
    while at < len(whole):
        number = len(pieces)
        size = cuts[number % len(cuts)]
        pieces.append((whole[at : at + size], times[number % len(times)]))
        at += size
    assert summarize(pieces, thinking_open=thinking_open, text_every_s=EVERY_S) == summarize(
        pieces, thinking_open=thinking_open, text_every_s=0.0
    )

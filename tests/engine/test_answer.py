"""The account of an answer: text may wait for more of it, and nothing else changes by that."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.answer import AnswerWriter
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.registry import open_engine
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.native.library import Batch

DECODE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, Batch)  # llama_decode

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
        patch.setattr("deepseek_r1.engine.answer.time.perf_counter", stopped)
        yield stopped


def text_of(events: list[GenerationEvent], kind: type = AnswerDelta) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def test_a_fast_model_comes_in_fewer_events_with_all_its_text(clock: Clock) -> None:
    writer = AnswerWriter(opened=False, started=0.0, text_every_s=EVERY_S)
    events: list[GenerationEvent] = []
    for number in range(100):
        clock.now += 0.01
        events += writer.took(f"{number} ".encode())
    events += writer.finish()
    assert text_of(events) == "".join(f"{number} " for number in range(100))
    assert 20 <= len(events) <= 22
    assert events[-1].completion_tokens == 100


def test_the_first_token_and_a_slow_model_do_not_wait(clock: Clock) -> None:
    writer = AnswerWriter(opened=False, started=0.0, text_every_s=EVERY_S)
    for number in range(3):
        assert text_of(list(writer.took(f"{number} ".encode()))) == f"{number} "
        clock.now += EVERY_S


@dataclass
class Told:
    """What is known of an answer after its end, and of its state after each token."""

    thinking: str
    answer: str
    finished_s: list[float]
    answering: list[bool]
    stats: GenerationStats


def told(pieces: list[tuple[bytes, float]], *, opened: bool, text_every_s: float) -> Told:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepseek_r1.engine.answer.time.perf_counter", clock)
        writer = AnswerWriter(opened=opened, started=0.0, text_every_s=text_every_s)
        events: list[GenerationEvent] = []
        answering = []
        for piece, took_s in pieces:
            clock.now += took_s
            events += writer.took(piece)
            answering.append(writer.answering)
        events += writer.finish()
    return Told(
        thinking=text_of(events, ThinkingDelta),
        answer=text_of(events),
        finished_s=[event.seconds for event in events if isinstance(event, ThinkingFinished)],
        answering=answering,
        stats=writer.stats(FinishReason.STOP, context_used=0, seed=0, peak_mib=0.0),
    )


@given(
    said=st.lists(
        st.sampled_from(["<think>", "</think>", " ", "\n", "a", "b>", "<", "想", "🎉", "\x80"]),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    times=st.lists(st.sampled_from([0.001, 0.02, 0.06]), min_size=1, max_size=5),
    opened=st.booleans(),
)
def test_waiting_changes_neither_texts_nor_times_nor_counts(
    said: list[str], cuts: list[int], times: list[float], opened: bool
) -> None:
    whole = "".join(said).encode()
    pieces, at = [], 0
    while at < len(whole):
        number = len(pieces)
        size = cuts[number % len(cuts)]
        pieces.append((whole[at : at + size], times[number % len(times)]))
        at += size
    assert told(pieces, opened=opened, text_every_s=EVERY_S) == told(
        pieces, opened=opened, text_every_s=0.0
    )


@pytest.mark.native
def test_text_that_waits_comes_before_the_failure(starter: Path) -> None:
    request = OpenRequest(read_header(starter), LoadSettings(context_length=256), 1, lambda _: True)
    engine = open_engine(request)
    question = [Message(role=Role.USER, content="Name three colours.")]
    greedy = SamplingSettings(temperature=0.0, max_tokens=8)

    def said(events: Iterator[GenerationEvent], into: list[GenerationEvent]) -> str:
        into.extend(events)
        return text_of(into)

    try:
        whole = said(engine.stream(question, greedy), [])
        loop, left = engine._stretches.loop, iter([True] * 5)
        decode = DECODE(loop.decode)
        failing = DECODE(lambda context, one: decode(context, one) if next(left, False) else -3)
        loop.decode = ctypes.cast(failing, ctypes.c_void_p).value
        seen: list[GenerationEvent] = []
        with pytest.raises(EngineFailed):
            said(engine.stream(question, greedy, text_every_s=1e6), seen)
        assert len(text_of(seen)) > 5
        assert whole.startswith(text_of(seen))
        assert len([event for event in seen if isinstance(event, AnswerDelta)]) == 2
    finally:
        engine.close()

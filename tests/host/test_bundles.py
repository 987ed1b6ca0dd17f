"""Bundling text: fewer events, the same text, nothing held back that matters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.host.bundles import bundled

END = GenerationFinished(stats=GenerationStats(finish_reason=FinishReason.STOP))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def words(self, every_s: float, count: int) -> Iterator[GenerationEvent]:
        for number in range(count):
            yield AnswerDelta(text=f"{number} ", completion_tokens=number + 1)
            self.now += every_s


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))


def test_a_fast_model_comes_in_fewer_events_with_all_its_text() -> None:
    clock = Clock()
    events = list(bundled(clock.words(0.01, 100), clock))
    assert text_of(events) == "".join(f"{number} " for number in range(100))
    assert 20 <= len(events) <= 40
    assert events[-1].completion_tokens == 100


def test_the_first_token_and_a_slow_model_do_not_wait() -> None:
    clock = Clock()
    stream = bundled(clock.words(0.2, 3), clock)
    for number in range(3):
        assert next(stream).text == f"{number} "
        assert clock.now == pytest.approx(0.2 * number)


def test_thinking_and_answer_are_not_mixed_and_nothing_overtakes() -> None:
    given: list[GenerationEvent] = [
        ThinkingDelta(text="a"),
        ThinkingDelta(text="b"),
        ThinkingFinished(seconds=1.0),
        AnswerDelta(text="c"),
        AnswerDelta(text="d"),
        END,
    ]
    found = list(bundled(given, Clock()))
    kinds = [event.kind for event in found]
    assert kinds.index("thinking_finished") < kinds.index("answer_delta")
    assert "".join(e.text for e in found if isinstance(e, ThinkingDelta)) == "ab"
    assert text_of(found) == "cd"
    assert found[-1] is END


def test_text_that_waits_comes_before_the_failure() -> None:
    def failing() -> Iterator[GenerationEvent]:
        yield AnswerDelta(text="a")
        yield AnswerDelta(text="b")
        raise OSError

    seen = []
    with pytest.raises(OSError):
        seen.extend(bundled(failing(), Clock()))
    assert text_of(seen) == "ab"

"""The strip's readings: the part of an answer at work, rates made of counters."""

from deepseek_r1.core import events
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.host.protocol import EngineState
from r1desk.performance.readings import (
    Activity,
    EngineActivity,
    StreamingRateMeter,
    format_engine_state,
)


def delta(kind: type, tokens: int, elapsed_s: float) -> events.Event:
    return kind.model_construct(text="word", completion_tokens=tokens, elapsed_s=elapsed_s)


def test_an_answer_is_read_then_thought_about_then_written() -> None:
    activity = EngineActivity()
    seen = []
    for event in (
        events.PrefillProgress(done=1, total=4, cached=0),
        delta(events.ThinkingDelta, 4, 1.0),
        delta(events.AnswerDelta, 8, 2.0),
    ):
        activity.on_event(event)
        seen.append(format_engine_state(EngineState.GENERATING, activity.activity))
    assert seen == ["Reading", "Thinking", "Writing"]


def test_the_next_reading_shows_no_speed_of_the_last_answer() -> None:
    activity = EngineActivity()
    activity.on_event(delta(events.AnswerDelta, 30, 3.0))
    assert activity.tok_s == 10.0
    activity.start()
    assert activity.tok_s == 0.0
    assert activity.activity is Activity.READING


def test_an_idle_engine_is_ready_whatever_it_did_before() -> None:
    assert format_engine_state(EngineState.IDLE, Activity.WRITING) == "Ready"


def stats(read_mib: float, io_wait_s: float = 0.0, hits: int = 0, misses: int = 0) -> WeightsStats:
    return WeightsStats(
        pinned_mib=500,
        streamed_mib=300,
        read_mib=read_mib,
        io_wait_s=io_wait_s,
        hits=hits,
        misses=misses,
    )


def test_rates_are_those_between_two_beats():
    meter = StreamingRateMeter()
    assert meter.update(stats(1000, 1.0, 30, 10), 10.0).read_mib_s == 0
    now = meter.update(stats(1600, 1.2, 45, 15), 10.5)
    assert (now.read_mib_s, round(now.wait_share, 3), now.hit_rate) == (1200, 0.4, 0.75)


def test_an_idle_model_reads_nothing_and_keeps_its_hit_rate():
    meter = StreamingRateMeter()
    meter.update(stats(1000, 1.0, 30, 10), 10.0)
    now = meter.update(stats(1000, 1.0, 30, 10), 12.0)
    assert (now.read_mib_s, now.wait_share, now.hit_rate) == (0, 0, 0.75)


def test_another_models_counters_are_not_compared():
    meter = StreamingRateMeter()
    meter.update(stats(1000), 10.0)
    assert meter.update(stats(10), 11.0).read_mib_s == 0
    assert meter.update(None, 12.0) is None
    assert meter.update(stats(900), 13.0).read_mib_s == 0

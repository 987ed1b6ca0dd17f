"""The strip names the part of an answer at work, and shows no speed of an earlier answer."""

from __future__ import annotations

from deepseek_r1.core import events
from deepseek_r1.host.supervisor_events import EngineState
from r1desk.performance.readings import Activity, EngineActivity, format_engine_state


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

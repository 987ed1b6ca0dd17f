"""The time that is left while a prompt is read."""

import time

from r1desk.chat.messages.stats_line import ReadingEstimate, reading_line
from r1desk.chat.values.duration import duration_text, price_text


def test_the_time_left_follows_from_the_rate_so_far_of_this_answer(monkeypatch) -> None:
    now, estimate = [0.0], ReadingEstimate()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    left = []
    for now[0], message, done in ((0.0, 1, 100), (1.0, 1, 150), (10.0, 1, 600), (11.0, 2, 50)):
        left.append(estimate.seconds_left(message, done, 2_000))
    assert left == [None, None, 28.0, None]  # too early, and of another answer


def test_the_line_names_the_time_left() -> None:
    assert reading_line(24, 2_092, 0) == "Reading 24 of 2,092 tokens"
    assert reading_line(24, 2_092, 0, 70.0) == "Reading 24 of 2,092 tokens · about 1 min 10 s left"


def test_durations_are_said_as_people_say_them() -> None:
    said = [duration_text(s) for s in (0.4, 7.2, 59.7, 187.4, 7_500)]
    assert said == ["0 s", "7 s", "1 min", "3 min 7 s", "2 h 5 min"]
    assert [price_text(s) for s in (0.1, 7.2, 187.4)] == ["1 s", "7 s", "3 min 10 s"]

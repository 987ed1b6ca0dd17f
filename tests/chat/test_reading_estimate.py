"""The time that is left while a prompt is read."""

from r1desk.chat.messages.stats_line import ReadingEstimate, reading_line
from r1desk.chat.values.duration import duration_text, price_text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_follows_from_the_rate_so_far() -> None:
    clock = Clock()
    estimate = ReadingEstimate(clock)
    assert estimate.seconds_left(1, 100, 2_000) is None
    clock.now = 1.0
    assert estimate.seconds_left(1, 150, 2_000) is None  # too early
    clock.now = 10.0
    assert estimate.seconds_left(1, 600, 2_000) == 28.0


def test_another_answer_begins_anew() -> None:
    clock = Clock()
    estimate = ReadingEstimate(clock)
    estimate.seconds_left(1, 0, 100)
    clock.now = 10.0
    assert estimate.seconds_left(2, 50, 100) is None


def test_the_line_names_the_time_left() -> None:
    assert reading_line(24, 2_092, 0) == "Reading 24 of 2,092 tokens"
    assert reading_line(24, 2_092, 0, 70.0) == "Reading 24 of 2,092 tokens · about 1 min 10 s left"


def test_durations_are_said_as_people_say_them() -> None:
    assert [duration_text(s) for s in (0.4, 7.2, 59.7, 187.4, 7_500)] == [
        "0 s",
        "7 s",
        "1 min",
        "3 min 7 s",
        "2 h 5 min",
    ]


def test_what_will_take_time_takes_a_second_at_least() -> None:
    assert [price_text(s) for s in (0.1, 7.2, 187.4)] == ["1 s", "7 s", "3 min 10 s"]

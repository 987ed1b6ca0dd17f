"""Drawing takes its small share of the processor, whatever one draw costs."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject

from r1desk.chat.text.time_slicer import FASTEST_MS, SLOWEST_MS, DrawThrottle


def clock_of(cost_s: float) -> Iterator[float]:
    """Each draw is asked for the time twice, and takes `cost_s` between the two."""
    now = 0.0
    while True:
        yield now
        now += cost_s


def after_draws(qtbot, monkeypatch, cost_s: float, draws: int) -> int:
    ticks = clock_of(cost_s)
    monkeypatch.setattr(time, "thread_time", lambda: next(ticks))
    parent = QObject()
    pace = DrawThrottle(parent)
    done: list[int] = []
    pace.due.connect(lambda: done.append(1))
    pace.start()
    qtbot.waitUntil(lambda: len(done) >= draws)
    pace.stop()
    return pace._timer.interval()


@pytest.mark.parametrize(
    ("cost_s", "least", "most"), [(0.001, FASTEST_MS, FASTEST_MS), (0.050, 101, SLOWEST_MS)]
)
def test_dear_drawing_is_rarer_but_text_still_flows(
    qtbot, monkeypatch, cost_s, least, most
) -> None:
    assert least <= after_draws(qtbot, monkeypatch, cost_s, 8) <= most


def test_nothing_is_drawn_once_there_is_nothing_to_draw(qtbot) -> None:
    parent = QObject()
    pace = DrawThrottle(parent)
    pace.due.connect(pace.stop)
    pace.start()
    qtbot.waitUntil(lambda: not pace._timer.isActive())
    with qtbot.assertNotEmitted(pace.due, wait=3 * FASTEST_MS):
        pass

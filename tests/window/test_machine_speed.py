"""What the computer can do is measured a few times, and not again at each start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from r1desk.models.forecast import machine_speed as module
from r1desk.models.forecast.machine_speed import MEASUREMENTS, known_speed, machine_speed


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Counts the measurements of memory; each is faster than the one before."""
    found: list[float] = []

    def memory(_threads: int) -> float:
        found.append(10_000.0 + len(found))
        return found[-1]

    monkeypatch.setattr(module, "memory_read_mib_s", memory)
    monkeypatch.setattr(module, "read_speed_mib_s", lambda _file: 2_000.0)
    yield found
    module._measured.clear()


@pytest.fixture
def restart() -> Callable[[], None]:
    """The application is started again: what it keeps in memory is gone."""
    module._measured.clear()
    return module._measured.clear


def test_a_later_start_uses_what_was_measured(
    measured: list[float], restart: Callable[[], None]
) -> None:
    for _ in range(MEASUREMENTS + 2):
        machine_speed()
    assert len(measured) == MEASUREMENTS
    fastest = machine_speed()
    restart()
    assert known_speed() == fastest, "at once, without a measurement"
    assert machine_speed() == fastest
    assert len(measured) == MEASUREMENTS


def test_a_start_goes_on_where_the_one_before_had_measured_once(
    measured: list[float], restart: Callable[[], None]
) -> None:
    machine_speed()
    restart()
    assert machine_speed().memory_mib_s == max(measured)
    assert len(measured) == 2
    assert machine_speed().disk_mib_s == 2_000.0

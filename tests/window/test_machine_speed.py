"""What the computer can do is measured once, and not again at each start."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1desk.models import forecast_service as module
from r1desk.models.forecast_service import known_speed, machine_speed


def test_the_fastest_measurement_counts_and_later_starts_know_it(
    own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = iter([9_000.0, 11_000.0, 10_000.0])
    monkeypatch.setattr(module, "memory_read_mib_s", lambda _threads, seconds: next(speeds))
    monkeypatch.setattr(module, "read_speed_mib_s", lambda _file: 2_000.0)
    module._known.clear()
    assert not known_speed().memory_mib_s
    first = machine_speed()
    assert (first.memory_mib_s, first.disk_mib_s) == (11_000.0, 2_000.0)
    module._known.clear()  # a later start
    assert known_speed() == machine_speed() == first
    module._known.clear()

"""The peak belongs to the model that is loaded."""

from __future__ import annotations

from r1desk.performance.presenter import PeakMemory


def test_the_peak_is_the_highest_of_all_samples() -> None:
    peak = PeakMemory()
    for engine_mib, window_mib in ((100.0, 90.0), (300.0, 95.0), (200.0, 99.0)):
        peak.add_sample(engine_mib, window_mib)
    assert (peak.engine_mib, peak.window_mib) == (300.0, 99.0)


def test_a_new_load_starts_at_zero_though_the_process_remembers_its_own_peak() -> None:
    peak = PeakMemory()
    peak.add_process_peak(1480.0)
    peak.reset()
    peak.add_sample(600.0, 90.0)
    peak.add_process_peak(1480.0)
    assert peak.engine_mib == 600.0


def test_a_process_peak_that_rises_after_the_load_counts() -> None:
    peak = PeakMemory()
    peak.add_process_peak(500.0)
    peak.reset()
    peak.add_sample(600.0, 90.0)
    peak.add_process_peak(750.0)
    assert peak.engine_mib == 750.0


def test_the_peak_of_a_restarted_process_counts_from_its_start() -> None:
    peak = PeakMemory()
    peak.add_process_peak(1480.0)
    peak.reset()
    peak.add_process_peak(120.0)
    assert peak.engine_mib == 120.0

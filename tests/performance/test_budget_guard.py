"""A window that grows beyond its share of the budget is given more of it, at the model's cost."""

from __future__ import annotations

from r1desk.performance.resource_sampler import LASTING_S, MARGIN_MIB, SETTLING_S, OverrunDetector


def test_within_the_budget_nothing_moves() -> None:
    detector = OverrunDetector()
    assert [detector.observe(419.0, 420.0, at_s) for at_s in range(0, 60, 5)] == [0.0] * 12


def test_an_excess_that_lasts_is_given_to_the_window() -> None:
    detector = OverrunDetector()
    assert detector.observe(430.0, 420.0, 0.0) == 0.0
    assert detector.observe(432.0, 420.0, LASTING_S) == 12.0 + MARGIN_MIB


def test_a_moment_over_the_budget_moves_nothing() -> None:
    detector = OverrunDetector()
    readings = [(430.0, 0.0), (415.0, 1.0), (430.0, 2.0), (430.0, 2.0 + LASTING_S - 0.1)]
    assert [detector.observe(mib, 420.0, at_s) for mib, at_s in readings] == [0.0] * 4


def test_a_change_has_time_to_take_effect_before_the_next() -> None:
    detector = OverrunDetector()
    seconds = range(20)
    moved_at_s = [at_s for at_s in seconds if detector.observe(430.0, 420.0, at_s)]
    assert moved_at_s == [LASTING_S, 2 * LASTING_S + SETTLING_S]

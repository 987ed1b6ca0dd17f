"""The length of a draft weighs what it brings against what it costs; losses are bounded."""

from __future__ import annotations

import random

import pytest

from deepseek_r1.engine.llama.speculative.draft_length import LengthRule, LossGuard
from deepseek_r1.engine.llama.speculative.measure_rows import PassTime, fitted_reading
from deepseek_r1.engine.llama.speculative.row_curve import LiveRowCurve, RowCurve

# Two rows cost hardly more than one; eight cost twice what seven do, and sixteen no more than that.
TILED = RowCurve({1: 1.0, 7: 1.6, 8: 3.2, 16: 3.3})


def test_a_sure_draft_is_as_long_as_can_be_and_a_doubtful_one_is_short() -> None:
    rule = LengthRule(TILED)
    assert rule.best([0.99] * 15)[0] == 15
    assert 1 <= rule.best([0.6] * 15)[0] <= 6
    assert rule.best([0.05] * 15) == (0, 0.0)


def test_the_threshold_of_the_tiled_kernel_is_left_out() -> None:
    """From seven rows to eight the price doubles: lengths of 7 to 10 never pay."""
    rule = LengthRule(TILED)
    lengths = {rule.best([chance / 100] * 15)[0] for chance in range(100)}
    assert not lengths & {7, 8, 9}
    assert {0, 6, 15} <= lengths


def test_reading_hides_rows() -> None:
    compute_s = {1: 1.0, 16: 16.0}
    assert LengthRule(RowCurve(compute_s)).best([0.8] * 15)[0] == 0
    assert LengthRule(RowCurve(compute_s, read_s=8.0)).best([0.8] * 15)[0] >= 7


def test_drafting_that_takes_long_shortens_drafts() -> None:
    rule = LengthRule(RowCurve({1: 1.0, 16: 1.0}))
    lengths = [rule.best([0.8] * 15, draft_s)[0] for draft_s in (0.0, 0.2, 0.5, 0.9)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 15
    assert lengths[-1] == 0


def test_drafting_goes_on_while_more_tokens_are_worth_it() -> None:
    rule = LengthRule(RowCurve({1: 1.0, 16: 1.0}))
    assert rule.goes_on([0.9], usual=0.8, draft_token_s=0.05, most=15)
    assert not rule.goes_on([0.1], usual=0.2, draft_token_s=0.05, most=15)
    assert not rule.goes_on([0.9] * 4, usual=0.9, draft_token_s=0.0, most=4)


def test_a_live_curve_follows_what_passes_take() -> None:
    curve = LiveRowCurve()
    assert not curve.ready
    curve.observe(1, 0.5)
    assert curve.ready
    assert curve.seconds(1) == pytest.approx(0.5)
    for _ in range(30):
        curve.observe(5, 2.0)
    assert curve.seconds(5) == pytest.approx(2.0, rel=0.01)
    assert curve.seconds(4) > 1.0


def test_a_stored_curve_does_not_depend_on_the_clock() -> None:
    before = [TILED.seconds(rows) for rows in range(1, 17)]
    TILED.observe(1, 100.0)
    assert [TILED.seconds(rows) for rows in range(1, 17)] == before


@pytest.mark.parametrize("worth", [0.0, 0.3, 0.7, 1.0, 1.5, 2.5])
def test_any_two_hundred_tokens_take_hardly_longer_than_without_drafts(worth: float) -> None:
    """Whatever drafts bring, by chance, in a pass that takes 1.6 plain ones."""
    chance, guard = random.Random(7), LossGuard()
    taken: list[float] = []  # of each token, in plain tokens
    while len(taken) < 20_000:
        if guard.resting:
            guard.observe_plain()
            taken.append(1.0)
            continue
        brought = 1 + int(worth + chance.random())
        guard.observe_drafted(1.6, brought)
        taken += [1.6 / brought] * brought
    sums = [sum(taken[:200])]
    for at in range(200, len(taken)):
        sums.append(sums[-1] + taken[at] - taken[at - 200])
    assert max(sums) <= 200 / 0.97


def test_drafts_that_lost_are_tried_again() -> None:
    guard = LossGuard()
    while not guard.resting:
        guard.observe_drafted(2.0, 1)
    guard.observe_plain(LossGuard.REST_TOKENS)
    assert not guard.resting


def test_what_reading_does_not_hide_is_paid() -> None:
    """A pass takes as long as the longer of reading and computing, and a share of the shorter."""
    compute_s = {1: 1.0, 16: 16.0}
    hidden, paid = (RowCurve(compute_s, read_s=8.0, unhidden=share) for share in (0.0, 0.5))
    assert [hidden.seconds(rows) for rows in (1, 5)] == [8.0, 8.0]
    assert [paid.seconds(rows) for rows in (1, 5)] == [8.5, 10.5]
    assert LengthRule(paid).best([0.5] * 15)[0] < LengthRule(hidden).best([0.5] * 15)[0]


def test_reading_is_found_in_the_times_of_passes() -> None:
    for read_s, unhidden in ((0.7, 0.5), (0.05, 0.5), (0.3, 0.0), (0.7, 1.0)):
        curve = RowCurve({1: 0.1, 16: 1.0}, read_s, unhidden)
        alone = RowCurve({1: 0.1, 16: 1.0})
        passes = {
            rows: [PassTime(curve.seconds(rows), alone.seconds(rows), read_mib=100.0)]
            for rows in (1, 2, 4, 7, 8, 16)
        }
        fitted = RowCurve({1: 0.1, 16: 1.0}, *fitted_reading(passes))
        for rows in range(1, 17):
            assert fitted.seconds(rows) == pytest.approx(curve.seconds(rows), rel=0.03)

"""The length of a draft weighs what it brings against what it costs, by measured passes."""

from __future__ import annotations

import random

import pytest

from deepseek_r1.engine.llama.speculative.proposer import AcceptanceTable, PassTimes
from support.distribution import passes

# Two rows cost hardly more than one; eight cost twice what seven do, and sixteen no more than that.
TILED = passes({1: 1.0, 2: 1.1, 3: 1.2, 4: 1.3, 5: 1.4, 6: 1.5, 7: 1.6, 8: 3.2, 16: 3.3})


def test_a_sure_draft_is_as_long_as_can_be_and_a_doubtful_one_is_short() -> None:
    assert TILED.best([0.99] * 15)[0] == 15
    assert 1 <= TILED.best([0.6] * 15)[0] <= 6
    assert TILED.best([0.05] * 15) == (0, 1.0)


def test_the_threshold_of_the_tiled_kernel_is_left_out() -> None:
    """From seven rows to eight the price doubles: lengths of 7 to 10 never pay."""
    lengths = {TILED.best([chance / 100] * 15)[0] for chance in range(100)}
    assert not lengths & {7, 8, 9}
    assert {0, 6, 15} <= lengths


def test_reading_hides_rows() -> None:
    assert (
        PassTimes(streams=True).best([0.8] * 15)[0] > PassTimes(streams=False).best([0.8] * 15)[0]
    )


def test_drafting_that_takes_long_shortens_drafts() -> None:
    free = passes({1: 1.0, 16: 1.0})
    lengths = [free.best([0.8] * 15, draft_s)[0] for draft_s in (0.0, 0.2, 0.5, 0.9)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 15
    assert lengths[-1] == 0


def test_the_times_follow_what_passes_take() -> None:
    times = PassTimes(streams=True)
    times.observe(1, 0.5)
    assert times.plain_s == pytest.approx(0.5)
    assert 0.5 < times.seconds(5) < 1.0
    for _ in range(30):
        times.observe(5, 2.0)
    assert times.seconds(5) == pytest.approx(2.0, rel=0.01)
    assert times.seconds(4) > 1.0


@pytest.mark.parametrize("right", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_drafts_cost_little_where_they_are_wrong_and_save_where_they_are_right(
    right: float,
) -> None:
    """A draft model that is sure of everything, and whose tokens are right by chance."""
    chance, table, times = random.Random(7), AcceptanceTable([0.9]), PassTimes(streams=True)
    taken, tokens, token_s = 0.0, 0, 0.1
    while tokens < 5000:
        length, _ = times.best([table.usual] * 15, token_s)
        length = min(length, times.best([table.chance(0)] * 15, token_s)[0])
        kept = next((n for n in range(length) if chance.random() >= right), length)
        taken += times.seconds(1 + length) + length * token_s
        tokens += 1 + kept
        if length:
            table.observe_draft([0] * length, kept)
        else:
            table.fade()
    assert taken / tokens < (1.05 if right < 0.5 else 1.0)
    assert right < 0.8 or taken / tokens < 0.6

"""Rates are derived from counts and times, and events survive the way through JSON."""

import pytest
from pydantic import TypeAdapter

from deepseek_r1.core.events import (
    AnswerDelta,
    Bill,
    BillItem,
    BillLine,
    Event,
    FinishReason,
    GenerationFinished,
    GenerationStats,
    WeightsStats,
)


def test_a_bill_fits_up_to_the_last_mib_of_its_budget() -> None:
    sizes = {BillItem.WEIGHTS: 700.0, BillItem.KV_CACHE: 300.0}
    lines = tuple(BillLine(name=name, planned_mib=mib) for name, mib in sizes.items())
    assert Bill(lines=lines, budget_mib=1000.0).fits
    assert not Bill(lines=lines, budget_mib=999.0).fits


def test_hit_rates_are_those_of_the_time_between_two_moments() -> None:
    before = WeightsStats(hits=10, misses=10, pinned_mib=5.0)
    after = WeightsStats(hits=40, misses=20, expert_hits=3, expert_misses=1, pinned_mib=7.0)
    between = after.since(before)
    assert between.hit_rate == pytest.approx(30 / 40)
    assert between.expert_hit_rate == pytest.approx(3 / 4)
    assert between.pinned_mib == 7.0
    assert WeightsStats().hit_rate == 1.0
    assert WeightsStats().expert_hit_rate is None


def test_cached_tokens_and_the_first_token_do_not_count_in_the_rates() -> None:
    stats = GenerationStats(
        finish_reason=FinishReason.STOP,
        prompt_tokens=110,
        cached_tokens=10,
        completion_tokens=21,
        prefill_s=2.0,
        decode_s=4.0,
        accepted=7,
    )
    assert stats.prefill_tok_s == pytest.approx(50.0)
    assert stats.decode_tok_s == pytest.approx(5.0)
    assert stats.tokens_per_pass == pytest.approx(1.5)


@pytest.mark.parametrize(
    "event",
    [
        AnswerDelta(text="思", completion_tokens=2, elapsed_s=0.5),
        GenerationFinished(stats=GenerationStats(finish_reason=FinishReason.CANCELLED)),
    ],
    ids=lambda event: event.kind,
)
def test_an_event_is_the_same_after_json(event: AnswerDelta | GenerationFinished) -> None:
    assert TypeAdapter(Event).validate_json(event.model_dump_json()) == event

"""The bill and the advice of models that may run from the disk."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_r1.core.errors import BudgetTooSmall
from deepseek_r1.core.settings import CacheStrategy, LoadSettings
from deepseek_r1.memory.plan import (
    LINES,
    STREAMED_LINES,
    ProcessShare,
    advise,
    plan,
    plan_streamed,
    require_fit,
)
from memory.headers import load_settings, streamable, streamable_headers

MIB = 1 << 20
SHARE = ProcessShare(window_mib=150.0)
MODEL = streamable(28, 2 << 20)  # 16 matrices' worth of 2 MiB in each of 28 blocks: 896 MiB
unhurried = settings(deadline=None)


def swapping(budget: int, **changes: object) -> LoadSettings:
    return LoadSettings(memory_budget=budget, swap_enabled=True, **changes)


def names(bill):
    return tuple(line.name for line in bill.lines)


def test_a_model_over_the_budget_has_pins_and_slots_in_place_of_weights():
    bill = plan(MODEL, swapping(900), SHARE)
    assert names(bill) == STREAMED_LINES
    assert (bill.fits, bill.streams) == (True, True)
    assert bill.streamed_mib > 0


def test_a_model_that_fits_is_in_memory_whether_or_not_it_may_use_the_disk():
    with_swap = plan(MODEL, swapping(4096), SHARE)
    assert with_swap == plan(MODEL, LoadSettings(memory_budget=4096), SHARE)
    assert (names(with_swap), with_swap.streams) == (LINES, False)


@pytest.mark.parametrize("strategy", CacheStrategy)
def test_every_strategy_keeps_the_same_of_a_dense_model(strategy):
    assert plan(MODEL, swapping(900, cache_strategy=strategy), SHARE) == plan(
        MODEL, swapping(900), SHARE
    )


def test_advice_names_the_swap_and_the_speed_of_the_disk():
    small = LoadSettings(memory_budget=900)
    assert advise(MODEL, small, SHARE).text == "It fits with swap to disk."
    advice = advise(MODEL, small, SHARE, disk_mib_s=1000.0)
    rate = 1000.0 / plan(MODEL, advice.settings, SHARE).short_streamed_mib
    assert advice.text == (
        f"It fits with swap to disk. Roughly {rate:.1f} tokens a second, "
        "by a short test of this disk."
    )


def test_what_costs_no_speed_comes_before_the_swap():
    total = plan(MODEL, LoadSettings(context_length=8192), SHARE).total_mib
    advice = advise(MODEL, LoadSettings(context_length=8192, memory_budget=int(total) - 60), SHARE)
    assert not advice.settings.swap_enabled


def test_a_refusal_is_over_the_least_that_can_run():
    with pytest.raises(BudgetTooSmall) as caught:
        require_fit(streamable(28, 2 << 20, embedding_bytes=600 << 20), swapping(300), SHARE)
    facts = caught.value.facts
    assert facts["weights_mib"] + facts["kv_mib"] + facts["rest_mib"] == facts["needed_mib"]
    assert facts["advice"] == f"It needs a budget of at least {facts['needed_mib']:,} MiB."
    assert 600 < facts["weights_mib"] < 640  # the output and two slots, not the other matrices


@unhurried
@given(streamable_headers, load_settings)
def test_swap_never_makes_a_bill_that_fits_worse(model, chosen):
    without = plan(model, chosen.model_copy(update={"swap_enabled": False}), SHARE)
    with_swap = plan(model, chosen.model_copy(update={"swap_enabled": True}), SHARE)
    assert with_swap.fits >= without.fits
    assert without.streams is False


@unhurried
@given(streamable_headers, load_settings)
def test_a_streamed_bill_stays_inside_the_budget_or_says_so(model, chosen):
    bill = plan_streamed(model, chosen, SHARE)
    assert all(line.planned_mib >= 0 for line in bill.lines)
    assert bill.streamed_mib <= sum(tensor.nbytes for tensor in model.tensors) / MIB
    assert bill.short_streamed_mib >= 0
    enough = chosen.model_copy(update={"memory_budget": int(bill.total_mib) + 1})
    assert plan_streamed(model, enough, SHARE).fits


def test_a_context_that_is_not_used_yet_holds_weights():
    short, long = (
        plan(MODEL, swapping(1000, context_length=length), SHARE) for length in (512, 8192)
    )
    assert long.streamed_mib > short.streamed_mib + 100
    assert long.short_streamed_mib == pytest.approx(short.short_streamed_mib, abs=10)
    assert 0 < short.short_streamed_mib < short.streamed_mib


@unhurried
@given(streamable_headers, load_settings, st.integers(0, 4096))
def test_a_larger_budget_keeps_fitting(model, chosen, more):
    bill = plan_streamed(model, chosen, SHARE)
    larger = chosen.model_copy(update={"memory_budget": chosen.memory_budget + more})
    assert plan_streamed(model, larger, SHARE).fits >= bill.fits


@unhurried
@given(streamable_headers, load_settings)
def test_advice_that_turns_on_the_swap_fits(model, chosen):
    advice = advise(model, chosen, SHARE, disk_mib_s=800.0)
    assert plan(model, advice.settings, SHARE).fits
    if advice.settings.memory_budget == chosen.memory_budget and advice.text:
        assert ("swap to disk" in advice.text) == (
            advice.settings.swap_enabled and not chosen.swap_enabled
        )

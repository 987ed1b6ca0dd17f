"""The bill, the advice and the speed of models that may run from the disk."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.errors import BudgetTooSmall
from deepseek_r1.core.events import Bill, BillItem, BillLine
from deepseek_r1.core.settings import CacheStrategy, LoadSettings
from deepseek_r1.formats.gguf import TensorInfo
from deepseek_r1.memory import forecast as estimate_module
from deepseek_r1.memory.advice import advise, experts_text, require_fit, speed_text
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.forecast import (
    UNHIDDEN_SHARE,
    advice_with_speed,
    core_mib_s,
    estimate,
    undrafted_tok_s,
    unhidden_compute_s,
)
from deepseek_r1.memory.plan import ProcessOverhead, plan_streaming
from deepseek_r1.weights.residency import cycle_bytes, expert_layers, expert_reads
from memory.headers import OVERHEAD, billed, header, load_settings, streamable, streamable_headers

MIB = 1 << 20
MODEL = streamable(28, 2 << 20)  # 16 matrices' worth of 2 MiB in each of 28 blocks: 896 MiB


def swapping(budget: int, **changes: object) -> LoadSettings:
    return LoadSettings(memory_budget=budget, swap_enabled=True, **changes)


def names(bill):
    return tuple(line.name for line in bill.lines)


def test_a_model_over_the_budget_has_pins_and_slots_in_place_of_weights():
    bill = billed(MODEL, swapping(900))
    assert names(bill)[:3] == ("pinned", "slots", "kv_cache")
    assert (bill.fits, bill.streams) == (True, True)
    assert bill.streamed_mib > 0


def test_a_model_that_fits_is_in_memory_whether_or_not_it_may_use_the_disk():
    with_swap = billed(MODEL, swapping(4096))
    assert with_swap == billed(MODEL, LoadSettings(memory_budget=4096))
    assert (names(with_swap)[0], with_swap.streams) == ("weights", False)


def test_advice_names_the_swap_and_the_speed_of_the_disk():
    small = LoadSettings(memory_budget=900)
    assert advise(MODEL, small, OVERHEAD).text == "It fits with weights read from the disk."
    advice = advice_with_speed(advise(MODEL, small, OVERHEAD), 1000.0, 0.0)
    rate = 1000.0 / billed(MODEL, advice.settings).short_streamed_mib
    assert advice.text == (
        f"It fits with weights read from the disk. Roughly {rate:.1f} tokens a second, "
        "from a short test of this disk."
    )


def test_what_costs_no_speed_comes_before_the_swap():
    total = billed(MODEL, LoadSettings(context_length=8192)).total_mib
    advice = advise(
        MODEL, LoadSettings(context_length=8192, memory_budget=int(total) - 60), OVERHEAD
    )
    assert not advice.settings.swap_enabled


def test_a_refusal_is_over_the_least_that_can_run():
    with pytest.raises(BudgetTooSmall) as caught:
        require_fit(streamable(28, 2 << 20, embedding_bytes=600 << 20), swapping(300), OVERHEAD)
    facts = caught.value.facts
    assert facts["weights_mib"] + facts["kv_mib"] + facts["rest_mib"] == facts["needed_mib"]
    needed = f"It needs a memory budget of at least {facts['needed_mib']:,} MiB."
    assert facts["advice"].startswith(needed)
    assert 600 < facts["weights_mib"] < 640  # the output and two slots, not the other matrices


@given(streamable_headers, load_settings)
def test_swap_never_makes_a_bill_that_fits_worse(model, chosen):
    without = billed(model, chosen.model_copy(update={"swap_enabled": False}))
    with_swap = billed(model, chosen.model_copy(update={"swap_enabled": True}))
    assert with_swap.fits >= without.fits
    assert without.streams is False


@given(streamable_headers, load_settings)
def test_a_streamed_bill_stays_inside_the_budget_or_does_not_fit(model, chosen):
    bill = plan_streaming(model, chosen, OVERHEAD).bill
    assert all(line.planned_mib >= 0 for line in bill.lines)
    assert bill.streamed_mib <= sum(tensor.nbytes for tensor in model.tensors) / MIB
    assert bill.short_streamed_mib >= 0
    enough = chosen.model_copy(update={"memory_budget": int(bill.total_mib) + 1})
    assert plan_streaming(model, enough, OVERHEAD).bill.fits


def test_a_context_that_is_not_used_yet_holds_weights():
    short, long = (billed(MODEL, swapping(1000, context_length=length)) for length in (512, 8192))
    assert long.streamed_mib > short.streamed_mib + 100
    assert long.short_streamed_mib == pytest.approx(short.short_streamed_mib, abs=10)
    assert 0 < short.short_streamed_mib < short.streamed_mib


@given(streamable_headers, load_settings, st.integers(0, 4096))
def test_a_larger_budget_keeps_fitting(model, chosen, more):
    bill = plan_streaming(model, chosen, OVERHEAD).bill
    larger = chosen.model_copy(update={"memory_budget": chosen.memory_budget + more})
    assert plan_streaming(model, larger, OVERHEAD).bill.fits >= bill.fits


LINES = (BillLine(name="pinned", planned_mib=300.0), BillLine(name="slots", planned_mib=40.0))


def test_an_estimate_predicts_the_speed_with_the_threads_that_will_decode(monkeypatch):
    monkeypatch.setattr(estimate_module, "read_speed_mib_s", lambda _path, _bytes: 2000.0)
    model, overhead = streamable(28, 2 << 20), ProcessOverhead()
    chosen = LoadSettings(memory_budget=700, swap_enabled=True, threads=3)
    made = estimate(model, chosen, overhead).bill
    assert made.streams
    assert made.compute_s == unhidden_compute_s(model, 3)
    assert 1 / made.disk_tok_s == pytest.approx(made.short_streamed_mib / 2000.0 + made.compute_s)
    advice = estimate(model, chosen.model_copy(update={"swap_enabled": False}), overhead).advice
    assert f"Roughly {made.disk_tok_s:.1f} tokens a second" in advice.text


def bill(**changes: float) -> Bill:
    return Bill(lines=LINES, budget_mib=512, short_streamed_mib=300.0, **changes)


def test_a_token_takes_what_the_drive_needs_and_what_reading_does_not_hide():
    assert bill(disk_mib_s=3000.0).disk_tok_s == pytest.approx(10.0)  # 0.1 s of reading
    assert bill(disk_mib_s=3000.0, compute_s=0.025).disk_tok_s == pytest.approx(8.0)


def test_an_unknown_drive_predicts_nothing():
    assert bill(compute_s=0.025).disk_tok_s == 0.0
    assert Bill(lines=LINES, budget_mib=512, disk_mib_s=3000.0).disk_tok_s == 0.0


def test_a_model_that_is_in_memory_without_its_draft_model_takes_the_time_of_computing():
    streamed = bill(disk_mib_s=3000.0, compute_s=0.025)
    assert undrafted_tok_s(streamed) == streamed.disk_tok_s
    in_memory = streamed.model_copy(update={"short_streamed_mib": 0.0})
    assert undrafted_tok_s(in_memory) == pytest.approx(UNHIDDEN_SHARE / 0.025)


def test_more_cores_leave_less_to_hide():
    model = streamable(28, 2 << 20)
    one = unhidden_compute_s(model, 1)
    assert one == pytest.approx(
        UNHIDDEN_SHARE * token_weights_bytes(model) / MIB / core_mib_s(model)
    )
    assert unhidden_compute_s(model, 4) == pytest.approx(one / 4)


def test_a_token_needs_one_row_of_an_embedding_that_is_not_the_output_too():
    table = TensorInfo("token_embd.weight", (64, 100), "Q8_0", 6400)
    output = TensorInfo("output.weight", (64, 100), "Q8_0", 6400)
    tied = replace(header(), tensors=(table,), has_output=False)
    assert token_weights_bytes(tied) == 6400
    assert token_weights_bytes(replace(tied, tensors=(table, output), has_output=True)) == 6400


def mixture(experts: int, used: int, layers: int = 4):
    """A header of a mixture whose experts have 1 MiB each."""
    tensors = tuple(
        TensorInfo(f"blk.{n}.ffn_up_exps.weight", (1024, 1024, experts), "Q8_0", experts << 20)
        for n in range(layers)
    )
    return replace(header(expert_used_count=used), tensors=tensors, experts=experts)


def test_a_mixture_is_never_planned_with_lru_below_the_experts_of_one_token():
    settings = LoadSettings(
        swap_enabled=True, context_length=512, micro_batch=16, cache_strategy=CacheStrategy.LRU
    )
    for budget, kept in ((1000, CacheStrategy.LFU), (2000, CacheStrategy.LRU)):
        chosen = settings.model_copy(update={"memory_budget": budget})
        bill = plan_streaming(mixture(512, 200), chosen, OVERHEAD).bill
        assert bill.experts_kept is kept, bill.mib_of(BillItem.EXPERTS)
        said = experts_text(bill, CacheStrategy.LRU)
        assert (said == "") is (kept is CacheStrategy.LRU)
        assert experts_text(bill, CacheStrategy.AUTO) == ""


def test_many_experts_are_expected_to_be_found_as_often_as_on_recorded_routes():
    """A quarter of them serves four of five uses; of few experts, a quarter."""
    for experts, share in ((128, 0.21), (8, 0.75)):
        layers = expert_layers(mixture(experts, 2))
        quarter = sum(layer.nbytes for layer in layers) // 4
        assert expert_reads(layers, quarter) == pytest.approx(share * cycle_bytes(layers), rel=0.01)


def test_of_a_mixture_a_token_needs_the_experts_it_uses():
    tensors = (
        TensorInfo("blk.0.attn_q.weight", (64, 64), "Q8_0", 1000),
        TensorInfo("blk.0.ffn_up_exps.weight", (64, 64, 8), "Q8_0", 8000),
    )
    mixture = replace(header(expert_used_count=2), tensors=tensors, experts=8)
    assert token_weights_bytes(mixture) == 1000 + 2000


@pytest.mark.parametrize(("drafted", "lost"), [(0.8, True), (2.4, False)])
def test_a_plan_says_where_a_draft_model_costs_more_than_it_saves(drafted, lost):
    streamed = bill(disk_mib_s=500.0, compute_s=0.1)
    update = {"drafted_tok_s": drafted, "undrafted_tok_s": 1.1}
    assert ("Leave the draft model out" in speed_text(streamed.model_copy(update=update))) is lost

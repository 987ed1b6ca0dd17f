"""An estimate: the drive's time for a token, the computing that it does not hide, the advice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepseek_r1.core.events import Bill, BillLine
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import TensorInfo
from deepseek_r1.memory import estimate as estimate_module
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.estimate import (
    CORE_MIB_S,
    UNHIDDEN_SHARE,
    estimate,
    undrafted_tok_s,
    unhidden_compute_s,
)
from deepseek_r1.memory.plan import ProcessOverhead
from memory.headers import header, streamable

MIB = 1 << 20
LINES = (BillLine(name="pinned", planned_mib=300.0), BillLine(name="slots", planned_mib=40.0))


def test_an_estimate_predicts_the_speed_with_the_threads_that_will_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate_module, "read_speed_mib_s", lambda _path: 2000.0)
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


def test_fewer_bytes_to_read_are_faster_by_the_readings_part_only():
    planned = bill(disk_mib_s=3000.0, compute_s=0.025)
    assert planned.tok_s_reading(150.0) == pytest.approx(1 / 0.075)


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
    assert one == pytest.approx(UNHIDDEN_SHARE * token_weights_bytes(model) / MIB / CORE_MIB_S)
    assert unhidden_compute_s(model, 4) == pytest.approx(one / 4)


def test_a_token_needs_one_row_of_an_embedding_that_is_not_the_output_too():
    table = TensorInfo("token_embd.weight", (64, 100), "Q8_0", 6400)
    output = TensorInfo("output.weight", (64, 100), "Q8_0", 6400)
    tied = replace(header(), tensors=(table,), has_output=False)
    assert token_weights_bytes(tied) == 6400
    assert token_weights_bytes(replace(tied, tensors=(table, output), has_output=True)) == 6400


def test_of_a_mixture_a_token_needs_the_experts_it_uses():
    tensors = (
        TensorInfo("blk.0.attn_q.weight", (64, 64), "Q8_0", 1000),
        TensorInfo("blk.0.ffn_up_exps.weight", (64, 64, 8), "Q8_0", 8000),
    )
    mixture = replace(header(expert_used_count=2), tensors=tensors, experts=8)
    assert token_weights_bytes(mixture) == 1000 + 2000

"""The speed a bill foretells: the drive's time for a token, and the computing it does not hide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepseek_r1.core.events import Bill, BillLine
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import TensorInfo
from deepseek_r1.memory import quote as quoting
from deepseek_r1.memory.costs import token_weights_bytes
from deepseek_r1.memory.disk_pace import A_CORE_MIB_S, UNHIDDEN, unhidden_compute_s
from deepseek_r1.memory.plan import ProcessShare
from memory.headers import header, streamable

MIB = 1 << 20
LINES = (BillLine(name="pinned", planned_mib=300.0), BillLine(name="slots", planned_mib=40.0))


def bill(**changes: float) -> Bill:
    return Bill(lines=LINES, budget_mib=512, short_streamed_mib=300.0, **changes)


def test_a_token_takes_what_the_drive_needs_and_what_reading_does_not_hide():
    assert bill(disk_mib_s=3000.0).disk_tok_s == pytest.approx(10.0)  # 0.1 s of reading
    assert bill(disk_mib_s=3000.0, compute_s=0.025).disk_tok_s == pytest.approx(8.0)


def test_fewer_bytes_to_read_are_faster_by_the_readings_part_only():
    told = bill(disk_mib_s=3000.0, compute_s=0.025)
    assert told.tok_s_reading(150.0) == pytest.approx(1 / 0.075)


def test_an_unknown_drive_foretells_nothing():
    assert bill(compute_s=0.025).disk_tok_s == 0.0
    assert Bill(lines=LINES, budget_mib=512, disk_mib_s=3000.0).disk_tok_s == 0.0


def test_more_cores_leave_less_to_hide():
    model = streamable(28, 2 << 20)
    one = unhidden_compute_s(model, 1)
    assert one == pytest.approx(UNHIDDEN * token_weights_bytes(model) / MIB / A_CORE_MIB_S)
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


def test_a_quote_foretells_with_the_threads_that_will_write(monkeypatch):
    monkeypatch.setattr(quoting, "read_speed_mib_s", lambda _path: 2000.0)
    model, share = streamable(28, 2 << 20), ProcessShare()
    chosen = LoadSettings(memory_budget=700, swap_enabled=True, threads=3)
    told = quoting.quote(model, chosen, share).bill
    assert told.streams
    assert told.compute_s == unhidden_compute_s(model, 3)
    assert 1 / told.disk_tok_s == pytest.approx(told.short_streamed_mib / 2000.0 + told.compute_s)
    advice = quoting.quote(model, chosen.model_copy(update={"swap_enabled": False}), share).advice
    assert f"Roughly {told.disk_tok_s:.1f} tokens a second" in advice.text

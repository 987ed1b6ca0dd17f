"""An estimate: the bill with the disk's speed, and the advice."""

from __future__ import annotations

import pytest

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory import estimate as estimate_module
from deepseek_r1.memory.disk_throughput import unhidden_compute_s
from deepseek_r1.memory.estimate import estimate
from deepseek_r1.memory.plan import ProcessOverhead
from memory.headers import streamable


def test_an_estimate_predicts_the_speed_with_the_threads_that_will_decode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate_module, "read_speed_mib_s", lambda _path: 2000.0)
    model, overhead = streamable(28, 2 << 20), ProcessOverhead()
    chosen = LoadSettings(memory_budget=700, swap_enabled=True, threads=3)
    bill = estimate(model, chosen, overhead).bill
    assert bill.streams
    assert bill.compute_s == unhidden_compute_s(model, 3)
    assert 1 / bill.disk_tok_s == pytest.approx(bill.short_streamed_mib / 2000.0 + bill.compute_s)
    advice = estimate(model, chosen.model_copy(update={"swap_enabled": False}), overhead).advice
    assert f"Roughly {bill.disk_tok_s:.1f} tokens a second" in advice.text

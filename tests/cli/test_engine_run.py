"""One timed run of the engine, and what is made of several."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from deepseek_r1.lab.engine_run import (
    RunRequest,
    RunTimes,
    in_both_orders,
    medians,
    run_in_process,
)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_runs_go_in_both_orders_in_every_round():
    assert "".join(in_both_orders("ab", 2)) == "abbaabba"


def test_medians_are_those_of_each_field_and_0_without_runs():
    times = [RunTimes(tok_s=n, prefill_tok_s=10 * n, first_token_s=2.0) for n in (1.0, 5.0, 3.0)]
    assert (medians(times)["tok_s"], medians(times)["prefill_tok_s"]) == (3.0, 30.0)
    assert set(medians([]).values()) == {0.0}


@on_linux
def test_a_run_is_timed_in_its_own_process(starter: Path):
    request = RunRequest(model=starter, tokens=4, started_at=time.monotonic())
    times, failure = run_in_process(request)
    assert times is not None, failure
    assert min(times.tok_s, times.prefill_tok_s, times.rss_peak_mib, times.threads) > 0
    parts = times.start_s + times.load_s + times.prompt_s
    assert times.first_token_s == pytest.approx(parts)


@on_linux
def test_a_failed_run_says_why(tmp_path: Path):
    times, failure = run_in_process(RunRequest(model=tmp_path / "none.gguf"))
    assert times is None
    assert failure.startswith("1: ")
    assert "none.gguf" in failure

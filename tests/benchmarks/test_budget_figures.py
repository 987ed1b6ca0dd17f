"""The figures of the budget benchmark: medians, ratios and bounds."""

from __future__ import annotations

import pytest

from benchmarks.budget_figures import ratio, row_of, summary
from benchmarks.budget_runs import ARMS, Run
from deepseek_r1.lab.bench.engine_run import RunTimes


def ran(arm: str, tok_s: float, *, streamed_mib: float = 0.0) -> Run:
    times = RunTimes(
        tok_s=tok_s, prefill_tok_s=10 * tok_s, first_token_s=2.0, streamed_mib=streamed_mib
    )
    return Run(arm, raw_mib_s=1000.0, peak_mib=100 * tok_s, limit_hits=1, times=times)


def test_a_ratio_lies_inside_its_interval_which_widens_with_the_spread():
    assert ratio([4.0] * 3, [2.0] * 3) == (2.0, 2.0, 2.0)
    middle, low, high = ratio([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert low < middle == 2.0 < high


def test_ours_is_compared_with_the_better_thread_count_and_with_the_disk():
    runs = [
        ran("ours", 4.0, streamed_mib=200.0), ran("mmap-1", 1.0), ran("mmap-2", 2.0),
        ran("resident", 20.0), ran("ours-resident", 10.0),
    ]  # fmt: skip
    figures = summary(runs, list(ARMS), file_mib=800.0)
    assert (figures["against"]["mmap"]["arm"], figures["against"]["mmap"]["ratio"]) == (
        "mmap-2",
        2.0,
    )
    assert "mmap-128k" not in figures["against"]
    assert figures["disk_tok_s"] == figures["bound_tok_s"] == 5.0  # 1000 MiB/s over 200 MiB a token
    assert figures["share_of_disk"] == pytest.approx(0.8)
    assert figures["bound_against_mmap"] == 4.0
    assert figures["against"]["mmap"]["bound"] == 2.5  # the disk's 5.0 over mmap's 2.0
    assert figures["prefill_to_resident"] == pytest.approx(0.4)
    assert figures["first_token_to_read_file"] == pytest.approx(2.5)  # 0.8 s to read the file


def test_drafted_answers_are_compared_apart():
    runs = [ran("ours", 4.0, streamed_mib=200.0), ran("ours-drafted", 9.0), ran("mmap-1-128k", 2.0)]
    against = summary(runs, list(ARMS), file_mib=800.0)["against"]
    assert against["mmap-128k"]["ratio"] == 2.0
    assert against["mmap-128k, drafted"]["ratio"] == 4.5


def test_a_model_cannot_be_faster_than_it_is_in_memory():
    runs = [ran("ours", 4.0, streamed_mib=20.0), ran("ours-resident", 5.0)]
    figures = summary(runs, list(ARMS), file_mib=800.0)
    assert (figures["disk_tok_s"], figures["bound_tok_s"], figures["share_of_bound"]) == (
        50.0,
        5.0,
        0.8,
    )


def test_a_failed_arm_is_reported_and_does_not_spoil_the_others():
    runs = [Run("mmap-1", 1000.0, failure="-9: killed"), ran("ours", 2.0, streamed_mib=10.0)]
    row = row_of(runs, "mmap-1")
    assert (row["failures"], row["tok_s"], row["runs"]) == (["-9: killed"], 0.0, 1)
    assert summary(runs, list(ARMS), 100.0)["against"] == {}

"""`deepseek-r1 bench`: thread counts, failures, and where it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from deepseek_r1.cli import bench_command
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.lab.engine_run import RunTimes
from deepseek_r1.lab.serve_load import machines_for
from support.command import run_here

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="runs on Linux only")


def bench(*words: object) -> None:
    bench_command.bench_engine.main(list(map(str, words)), standalone_mode=False)


def test_unknown_thread_counts_are_refused():
    assert run_here("bench", "engine", "--threads", "two").returncode == 2
    assert run_here("bench", "engine", "--threads", "0").returncode == 2


@on_linux
def test_the_json_has_the_medians_of_each_thread_count(
    starter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def timed(request):
        return RunTimes(tok_s=request.threads, prefill_tok_s=9.0, first_token_s=2.0), ""

    monkeypatch.setattr(bench_command, "run_in_process", timed)
    bench(starter, "--threads", "1,2", "--blocks", "1", "--json")
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"machine", "model", "rows"}
    assert [row["tok_s"] for row in report["rows"]] == [1.0, 2.0]
    assert list(report["rows"][0]) == [
        "threads", "tok_s", "prefill_tok_s", "first_token_s", "cpu_s_token", "rss_peak_mib",
        "failures",
    ]  # fmt: skip


@on_linux
def test_a_thread_count_that_fails_is_shown_with_the_reason(
    starter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(bench_command, "run_in_process", lambda _request: (None, "-9: killed"))
    bench(starter, "--threads", "1", "--blocks", "1")
    assert "1: -9: killed" in capsys.readouterr().out


def test_elsewhere_than_on_linux_the_engines_bench_says_why_it_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(WrongUsage, match="Linux"):
        bench()


def test_machines_are_counted_with_room_for_uneven_requests():
    assert machines_for(120, 2.0) == 86
    assert machines_for(0.7, 1.0) == 1


def test_wrong_rates_are_refused():
    for wrong in ("a", "0", "-1", "1,,2", "5000"):
        done = run_here("bench", "serve", "--rates", wrong)
        assert done.returncode == 2
        assert "--rates" in done.stderr

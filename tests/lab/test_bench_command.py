"""`deepseek-r1 bench`: thread counts, failures, where it runs, timed runs and their medians.

Of `bench serve` only what needs no server; one is measured in tests/server.
"""

import json
import sys
import time
from pathlib import Path

import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.lab import bench_command
from deepseek_r1.lab.engine_run import RunRequest, RunTimes, in_both_orders, medians, run_in_process
from deepseek_r1.lab.serve_load import LoadTimes, machines_for, percentile
from support.command import run_here

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="runs on Linux only")


def bench(*words: object) -> None:
    bench_command.bench_engine.main(list(map(str, words)), standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ("engine --threads two", 2, "--threads"),
        ("engine --threads 0", 2, "--threads"),
        *((f"serve --rates {each}", 2, "--rates") for each in ("a", "0", "1,,2", "1,nan", "5000")),
        ("serve --url http://127.0.0.1:9 --users many", 2, "--users"),
        ("serve --url http://127.0.0.1:9", 1, "http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_measured_is_named(words, code, named):
    done = run_here("bench", *words.split())
    assert done.returncode == code
    assert named in done.stderr


@on_linux
def test_the_json_has_the_medians_of_each_thread_count(starter, monkeypatch, capsys):
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
def test_a_thread_count_that_fails_is_shown_with_the_reason(starter, monkeypatch, capsys):
    monkeypatch.setattr(bench_command, "run_in_process", lambda _request: (None, "-9: killed"))
    with pytest.raises(SystemExit, match="1"):
        bench(starter, "--threads", "1", "--blocks", "1")
    assert "1: -9: killed" in capsys.readouterr().out


def test_elsewhere_than_on_linux_the_engines_bench_says_why_it_does_not_run(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(WrongUsage, match="Linux"):
        bench()


def test_machines_are_counted_with_room_for_uneven_requests():
    assert machines_for(120, 2.0) == 86
    assert machines_for(0.7, 1.0) == 1


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


def test_percentiles_are_values_that_were_measured():
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 50) == 0.0
    assert LoadTimes(1, seconds=2.0, tokens=10, first_s=[0.1] * 4).report()["requests_s"] == 2.0

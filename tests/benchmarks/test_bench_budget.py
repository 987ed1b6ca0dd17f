"""The command `bench_budget.py`: its options, refused budgets, and one real short run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bench_budget
from benchmarks.machine_limits import LimitUnavailable, read_ahead_kib

as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="memory limits need root on Linux"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="on Linux"),
]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, bench_budget.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def read_ahead(starter: Path) -> None:
    try:
        read_ahead_kib(starter)
    except LimitUnavailable as error:
        pytest.skip(str(error))


def test_budgets_are_mib_or_percents_of_the_file():
    assert bench_budget.budgets_in("50%, 800", 2000.0) == [1000, 800]
    assert bench_budget.budgets_in("5%", 2000.0) == [100]
    for wrong in ("", "half", "0", "-5"):
        with pytest.raises(ValueError):
            bench_budget.budgets_in(wrong, 2000.0)


def test_unknown_arms_are_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="gpu"):
        bench_budget.arms_in("ours,gpu")


def test_budgets_that_the_plan_refuses_are_reported_with_the_least_one(starter, read_ahead):
    done = run(starter, "--budgets", "50%,200", "--json")
    assert done.returncode == 1  # nothing was measured
    half, more = json.loads(done.stdout)["budgets"]
    assert half["budget_mib"] == round(starter.stat().st_size / (1 << 20) / 2)
    assert more["budget_mib"] == 200
    assert half["needed_mib"] == more["needed_mib"] == 256  # the least budget there is
    done = run(starter, "--budgets", "30", "--context-length", "8192")
    assert "30 MiB: It needs a budget of at least 3" in done.stdout


@as_root
@pytest.mark.integration
def test_one_real_arm_beside_another(starter):
    done = run("--arms", "ours,mmap-1", "--budgets", "256", "--tokens", "6", "--json")
    if done.returncode == 1 and "memory limit" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["budgets"][0]
    rows = {row["arm"]: row for row in figures["rows"]}
    assert rows["ours"]["tok_s"] > 0
    assert rows["mmap-1"]["tok_s"] > 0
    assert 0 < rows["ours"]["peak_mib"] <= 256
    assert not any(row["failures"] for row in figures["rows"])
    assert len(figures["runs"]) == 4

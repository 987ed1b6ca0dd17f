"""The command `bench_budget.py`: its options, refused budgets, its limits, and a real short run."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import bench_budget
from bench import machine_limits as machine
from bench.machine_limits import LimitUnavailable, MemoryGroup

as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="memory limits need root on Linux"
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="on Linux")


def run(*arguments: str | Path) -> list[dict[str, object]]:
    command = [sys.executable, bench_budget.__file__, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode == 1 and "memory limit" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)["rows"]
    return rows


def test_budgets_are_mib_or_percents_of_the_file():
    assert bench_budget.budgets_in("50%, 800", 2000.0) == [1000, 800]
    for wrong in ("", "half", "0", "-5"):
        with pytest.raises(ValueError):
            bench_budget.budgets_in(wrong, 2000.0)


def test_unknown_arms_are_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="gpu"):
        bench_budget.arms_in("ours,gpu")


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_supports_both_versions_of_control_groups(tmp_path: Path, monkeypatch, version):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0, raising=False)
    if version == 1:
        (tmp_path / "memory").mkdir()
    group = MemoryGroup(100, root=tmp_path)
    names = {1: ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt"),
             2: ("memory.max", "memory.peak", "memory.events")}[version]  # fmt: skip
    limit, peak, hits = (group._path / name for name in names)
    assert limit.read_text() == f"{100 << 20}\n"
    peak.write_text(f"{50 << 20}\n")
    hits.write_text("7\n" if version == 1 else "low 0\nhigh 0\nmax 7\noom 0\n")
    assert (group.peak_mib, group.limit_hits) == (50.0, 7)


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(LimitUnavailable, match="root"):
        MemoryGroup(100)


@pytest.mark.slow
@pytest.mark.integration
def test_budgets_that_the_plan_refuses_are_reported_with_the_least_one(starter: Path):
    half, more = run(starter, "--budgets", "50%,200")
    assert half["budget_mib"] == round(starter.stat().st_size / (1 << 20) / 2)
    assert more["budget_mib"] == 200
    assert half["needed_mib"] == more["needed_mib"] == 256  # the least budget there is


@as_root
@pytest.mark.slow
@pytest.mark.integration
def test_one_real_arm_beside_another():
    rows = run("--arms", "ours,mmap-1", "--budgets", "256", "--tokens", "6")
    ours, mapped, *_ = rows
    assert ours["arm"] == "ours"
    assert ours["tok_s"] > 0 < mapped["tok_s"]
    assert 0 < ours["peak_mib"] <= 256
    assert rows[-1]["against"] == "mmap-1"

"""The benchmarks: what is compared with what, what the figures mean, and one real short run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import run

from deepseek_r1.cli import bench
from deepseek_r1.cli.benchmarks import machine
from deepseek_r1.cli.benchmarks.arm import ArmTimes
from deepseek_r1.cli.benchmarks.budget import ARMS, Run, forth_and_back
from deepseek_r1.cli.benchmarks.errors import LimitUnavailable
from deepseek_r1.cli.benchmarks.figures import ratio, row_of, summary
from deepseek_r1.core.errors import WrongUsage

as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="memory limits need root on Linux"
)


def ran(arm: str, tok_s: float, *, streamed_mib: float = 0.0) -> Run:
    times = ArmTimes(
        tok_s=tok_s, prefill_tok_s=10 * tok_s, first_token_s=2.0, streamed_mib=streamed_mib
    )
    return Run(arm, raw_mib_s=1000.0, peak_mib=100 * tok_s, limit_hits=1, times=times)


def test_arms_run_forth_and_back_in_every_block():
    arms = [ARMS["ours"], ARMS["mmap-1"]]
    names = [arm.name for arm in forth_and_back(arms, 2)]
    assert names == ["ours", "mmap-1", "mmap-1", "ours"] * 2


def test_a_ratio_lies_inside_its_interval_which_widens_with_the_spread():
    assert ratio([4.0] * 3, [2.0] * 3) == (2.0, 2.0, 2.0)
    middle, low, high = ratio([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert low < middle == 2.0 < high


def test_ours_is_compared_with_the_better_thread_count_and_with_the_disk():
    runs = [
        ran("ours", 4.0, streamed_mib=200.0), ran("mmap-1", 1.0), ran("mmap-2", 2.0),
        ran("resident", 20.0), ran("ours-resident", 10.0),
    ]  # fmt: skip
    told = summary(runs, list(ARMS), file_mib=800.0)
    assert (told["against"]["mmap"]["arm"], told["against"]["mmap"]["ratio"]) == ("mmap-2", 2.0)
    assert "mmap-128k" not in told["against"]
    assert told["disk_tok_s"] == told["bound_tok_s"] == 5.0  # 1000 MiB/s over 200 MiB a token
    assert told["share_of_disk"] == pytest.approx(0.8)
    assert told["bound_against_mmap"] == 4.0
    assert told["against"]["mmap"]["bound"] == 2.5  # the disk's 5.0 over mmap's 2.0
    assert told["prefill_to_resident"] == pytest.approx(0.4)
    assert told["first_token_to_read_file"] == pytest.approx(2.5)  # 0.8 s to read the file


def test_drafted_answers_are_compared_apart():
    runs = [ran("ours", 4.0, streamed_mib=200.0), ran("ours-drafted", 9.0), ran("mmap-1-128k", 2.0)]
    against = summary(runs, list(ARMS), file_mib=800.0)["against"]
    assert against["mmap-128k"]["ratio"] == 2.0
    assert against["mmap-128k, drafted"]["ratio"] == 4.5


def test_a_model_cannot_be_faster_than_it_is_in_memory():
    runs = [ran("ours", 4.0, streamed_mib=20.0), ran("ours-resident", 5.0)]
    told = summary(runs, list(ARMS), file_mib=800.0)
    assert (told["disk_tok_s"], told["bound_tok_s"], told["share_of_bound"]) == (50.0, 5.0, 0.8)


def test_a_failed_arm_is_told_and_does_not_spoil_the_others():
    runs = [Run("mmap-1", 1000.0, failure="-9: killed"), ran("ours", 2.0, streamed_mib=10.0)]
    row = row_of(runs, "mmap-1")
    assert (row["failures"], row["tok_s"], row["runs"]) == (["-9: killed"], 0.0, 1)
    assert summary(runs, list(ARMS), 100.0)["against"] == {}


def test_budgets_are_mib_or_percents_of_the_file():
    assert bench._budgets("50%, 800", 2000.0) == [1000, 800]
    assert bench._budgets("5%", 2000.0) == [100]
    for wrong in ("", "half", "0", "-5"):
        with pytest.raises(WrongUsage):
            bench._budgets(wrong, 2000.0)


def test_budgets_that_the_plan_refuses_are_told_with_what_is_needed(starter):
    done = run("bench", "budget", starter, "--budgets", "50%,200", "--json")
    assert done.returncode == 0, done.stderr
    half, more = json.loads(done.stdout)["budgets"]
    assert half["budget_mib"] == round(starter.stat().st_size / (1 << 20) / 2)
    assert more["budget_mib"] == 200
    assert half["needed_mib"] == more["needed_mib"] == 256  # the least budget there is
    done = run("bench", "budget", starter, "--budgets", "30", "--context-length", "8192")
    assert "30 MiB: It needs a budget of at least 2" in done.stdout


def test_unknown_arms_and_thread_counts_are_refused():
    assert run("bench", "budget", "--arms", "ours,gpu").returncode == 2
    assert run("bench", "engine", "--threads", "two").returncode == 2
    assert run("bench", "engine", "--threads", "0").returncode == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_speaks_both_versions_of_control_groups(tmp_path: Path, monkeypatch, version):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    if version == 1:
        (tmp_path / "memory").mkdir()
    group = machine.MemoryGroup(100, root=tmp_path)
    names = {1: ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt"),
             2: ("memory.max", "memory.peak", "memory.events")}[version]  # fmt: skip
    limit, peak, hits = (group._path / name for name in names)
    assert limit.read_text() == f"{100 << 20}\n"
    peak.write_text(f"{50 << 20}\n")
    hits.write_text("7\n" if version == 1 else "low 0\nhigh 0\nmax 7\noom 0\n")
    assert (group.peak_mib, group.limit_hits) == (50.0, 7)


@pytest.mark.parametrize("version", [1, 2])
def test_a_drive_is_slowed_down_in_both_versions(tmp_path: Path, monkeypatch, version):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine.DriveLimit, "drive", "8:16")
    if version == 1:
        (tmp_path / "memory").mkdir()
        (tmp_path / "blkio").mkdir()
    group = machine.MemoryGroup(None, machine.DriveLimit(tmp_path, 500.0), root=tmp_path)
    if version == 1:
        told = tmp_path / "blkio" / group._path.name / "blkio.throttle.read_bps_device"
        assert told.read_text() == "8:16 524288000\n"
    else:
        assert (group._path / "io.max").read_text() == "8:16 rbps=524288000\n"
    group.join()
    for folder in group._folders:
        assert (folder / "cgroup.procs").read_text() == f"{os.getpid()}\n"


@as_root
@pytest.mark.native
def test_a_slowed_drive_reads_that_slowly(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(24 << 20))
    os.sync()
    try:
        group = machine.MemoryGroup(None, machine.DriveLimit(path, 32.0))
    except (LimitUnavailable, OSError) as error:
        pytest.skip(str(error))
    code = (
        "import sys; from pathlib import Path; from deepseek_r1.hardware.disk import measure_mib_s;"
        "print(measure_mib_s(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        preexec_fn=group.join, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(machine.__file__).parents[3])},
    )  # fmt: skip
    group.remove()
    assert 0 < float(done.stdout) < 48


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(LimitUnavailable, match="root"):
        machine.MemoryGroup(100)


def test_a_drive_without_read_ahead_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(machine, "_read_ahead_file", lambda _path: tmp_path / "none")
    with pytest.raises(LimitUnavailable, match="none"):
        machine.read_ahead_kib(tmp_path)
    with pytest.raises(LimitUnavailable), machine.read_ahead(tmp_path, 128):
        pass


def test_a_thread_count_that_fails_is_told_with_the_reason(starter, monkeypatch, capsys):
    monkeypatch.setattr(bench, "run_order", lambda _order: (None, "-9: killed"))
    bench.bench_engine(starter, threads="1", blocks=1)
    assert "1: -9: killed" in capsys.readouterr().out


@as_root
@pytest.mark.native
def test_a_real_group_counts_limits_and_goes_away(tmp_path):
    try:
        group = machine.MemoryGroup(64)
    except LimitUnavailable as error:
        pytest.skip(str(error))
    path = group._path
    code = f"open({str(path / 'cgroup.procs')!r}, 'w').write('0'); b = bytearray({{}} << 20)"
    small = machine_python(code.format(30))
    large = machine_python(code.format(200))
    assert small == 0
    assert large == -9
    assert 30 < group.peak_mib <= 64
    assert group.limit_hits > 0
    group.remove()
    assert not path.exists()


def machine_python(code: str) -> int:
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


@as_root
@pytest.mark.native
def test_one_real_arm_beside_another(starter):
    done = run("bench", "budget", "--arms", "ours,mmap-1", "--budgets", "256", "--tokens", "6",
               "--json")  # fmt: skip
    if done.returncode == 1 and "memory limit" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["budgets"][0]
    rows = {row["arm"]: row for row in told["rows"]}
    assert rows["ours"]["tok_s"] > 0
    assert rows["mmap-1"]["tok_s"] > 0
    assert 0 < rows["ours"]["peak_mib"] <= 256
    assert not any(row["failures"] for row in told["rows"])
    assert len(told["runs"]) == 4


def test_elsewhere_than_on_linux_the_engines_bench_says_why_it_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(WrongUsage, match="Linux"):
        bench.bench_engine()

"""Control groups, drive limits and read-ahead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import machine_limits as machine
from benchmarks.machine_limits import LimitUnavailable

APP = Path(__file__).resolve().parents[2] / "app"
as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="memory limits need root on Linux"
)


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_supports_both_versions_of_control_groups(tmp_path: Path, monkeypatch, version):
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
        limit = tmp_path / "blkio" / group._path.name / "blkio.throttle.read_bps_device"
        assert limit.read_text() == "8:16 524288000\n"
    else:
        assert (group._path / "io.max").read_text() == "8:16 rbps=524288000\n"
    group.join()
    for folder in group._folders:
        assert (folder / "cgroup.procs").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_has_half_a_core_in_both_versions(tmp_path: Path, monkeypatch, version):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    if version == 1:
        (tmp_path / "memory").mkdir()
        (tmp_path / "cpu").mkdir()
    group = machine.MemoryGroup(None, cores=0.5, root=tmp_path)
    if version == 1:
        folder = tmp_path / "cpu" / group._path.name
        assert (folder / "cpu.cfs_quota_us").read_text() == "50000\n"
        assert (folder / "cpu.cfs_period_us").read_text() == "100000\n"
    else:
        assert (group._path / "cpu.max").read_text() == "50000 100000\n"
        assert "+cpu" in (tmp_path / "cgroup.subtree_control").read_text()
    group.join()
    for folder in group._folders:
        assert (folder / "cgroup.procs").read_text() == f"{os.getpid()}\n"


@pytest.mark.slow
@as_root
@pytest.mark.integration
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
        env=os.environ | {"PYTHONPATH": str(APP)},
    )  # fmt: skip
    group.remove()
    assert 0 < float(done.stdout) < 48


def test_without_root_it_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(LimitUnavailable, match="root"):
        machine.MemoryGroup(100)


def test_a_drive_without_read_ahead_is_reported(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(machine, "_read_ahead_file", lambda _path: tmp_path / "none")
    with pytest.raises(LimitUnavailable, match="none"):
        machine.read_ahead_kib(tmp_path)
    with pytest.raises(LimitUnavailable), machine.read_ahead(tmp_path, 128):
        pass


@pytest.mark.slow
@as_root
@pytest.mark.integration
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

"""How short of memory a machine is, told by each system's own files and calls."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deepseek_r1.hardware.pressure import (
    MemoryReading,
    linux_reading,
    macos_reading,
    memory_reading,
    windows_reading,
)

GIB = 1 << 30
MEMINFO = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    8192000 kB"
CALM = (
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0"
)
STALLED = (
    "some avg10=41.50 avg60=9.00 avg300=2.00 total=99\n"
    "full avg10=12.25 avg60=3.00 avg300=0.50 total=50"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_linux_reports_available_memory_and_stalls(tmp_path):
    root = write(tmp_path, {"proc/meminfo": MEMINFO, "proc/pressure/memory": STALLED})
    assert linux_reading(root) == MemoryReading(
        16000.0, 8000.0, some_percent=41.5, full_percent=12.25
    )


def test_a_kernel_without_pressure_information_reports_none(tmp_path):
    found = linux_reading(write(tmp_path, {"proc/meminfo": MEMINFO}))
    assert (found.some_percent, found.full_percent) == (0.0, 0.0)


def test_a_version_2_group_counts_as_the_machine(tmp_path):
    group = "sys/fs/cgroup/user/app"
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/pressure/memory": CALM,
            "proc/self/cgroup": "0::/user/app",
            f"{group}/memory.max": str(2 * GIB),
            f"{group}/memory.current": str(1 * GIB),
            f"{group}/memory.stat": f"anon 1\ninactive_file {GIB // 4}",
            f"{group}/memory.pressure": STALLED,
            "sys/fs/cgroup/user/memory.max": "max",
        },
    )
    found = linux_reading(root)
    assert (found.total_mib, found.available_mib) == (2048.0, 1280.0)
    assert found.full_percent == 12.25


def test_a_version_1_group_counts_its_children_too(tmp_path):
    group = "sys/fs/cgroup/memory/box"
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/box\n2:cpu:/",
            f"{group}/memory.limit_in_bytes": str(2 * GIB),
            f"{group}/memory.usage_in_bytes": str(2 * GIB),
            f"{group}/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB // 2}",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    found = linux_reading(root)
    assert (found.total_mib, found.available_mib) == (2048.0, 512.0)


def test_the_machine_bounds_a_generous_group(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO.replace("8192000", "102400"),
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": str(8 * GIB),
            "sys/fs/cgroup/memory.current": "0",
        },
    )
    assert linux_reading(root).available_mib == 100.0


def test_windows_counts_what_can_be_committed():
    def status_of(reference):
        status = reference._obj
        assert status.length == 64
        status.total_physical, status.available_physical = 16 * GIB, 4 * GIB
        status.available_page_file = 1 * GIB
        return 1

    found = windows_reading(status_of, lambda: False)
    assert found == MemoryReading(16384.0, 1024.0, alarm=False)
    assert windows_reading(status_of, lambda: True).alarm


def test_windows_falls_back_where_the_call_fails():
    assert windows_reading(lambda _reference: 0, lambda: False).total_mib > 0


@pytest.mark.parametrize(("level", "alarm"), [(0, False), (1, False), (2, True), (4, True)])
def test_macos_raises_the_alarm_by_the_kernels_level(level, alarm):
    names = []
    found = macos_reading(8 * GIB, 3 * GIB, lambda name: names.append(name) or level)
    assert found == MemoryReading(8192.0, 3072.0, alarm=alarm)
    assert names == ["kern.memorystatus_vm_pressure_level"]


def test_this_machine_has_memory():
    found = memory_reading()
    assert 0 < found.available_mib <= found.total_mib
    assert sys.platform != "linux" or found.some_percent >= 0

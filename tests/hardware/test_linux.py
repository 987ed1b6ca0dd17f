"""What each system says of its processors and of its memory, as several machines say it."""

import sys
from pathlib import Path

import pytest

from deepseek_r1.hardware import linux
from deepseek_r1.hardware.pressure import (
    MemoryReading,
    linux_reading,
    macos_reading,
    memory_reading,
    windows_reading,
)
from deepseek_r1.hardware.processor import CpuFacts, facts_from


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def cpus(*siblings: str) -> dict[str, str]:
    """sysfs of logical processors, each with the list of its core."""
    return {
        f"sys/devices/system/cpu/cpu{n}/topology/core_cpus_list": text
        for n, text in enumerate(siblings)
    }


def facts(root: Path, *allowed: int, quota: float | None = None) -> CpuFacts:
    topology = linux.read_topology(root, frozenset(allowed or range(64)))
    return facts_from(topology, linux.CpuInfo("A processor", ()), quota)


# Four performance cores with two threads each, four efficiency cores: an i5-1240P, shortened.
HYBRID = {
    **cpus("0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7", "8", "9", "10", "11"),
    "sys/devices/cpu_core/cpus": "0-7",
    "sys/devices/cpu_atom/cpus": "8-11",
}
PHONE_LIKE = {  # big.LITTLE: four cores at half the capacity, three at 90 %, one at full
    **cpus(*map(str, range(8))),
    **{
        f"sys/devices/system/cpu/cpu{n}/cpu_capacity": capacity
        for n, capacity in enumerate(["400"] * 4 + ["920"] * 3 + ["1024"])
    },
}


def test_hybrid_cores_are_distinguished(tmp_path):
    found = facts(write(tmp_path, HYBRID))
    assert (found.physical_cores, found.logical_cores, found.performance_cores) == (8, 12, 4)


def test_decode_takes_the_fast_cores_and_prefill_all(tmp_path):
    found = facts(write(tmp_path, HYBRID))
    assert (found.threads, found.threads_prefill) == (4, 8)


def test_capacities_distinguish_big_and_little_cores(tmp_path):
    found = facts(write(tmp_path, PHONE_LIKE))
    assert (found.performance_cores, found.threads, found.threads_prefill) == (4, 4, 8)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (4, 3), (16, 15)])
def test_one_core_is_spared_where_there_are_more_than_two(tmp_path, cores, threads):
    found = facts(write(tmp_path, cpus(*map(str, range(cores)))))
    assert (found.threads, found.threads_prefill) == (threads, cores)


def test_affinity_counts_as_the_machine(tmp_path):
    root = write(tmp_path, HYBRID)
    assert facts(root, 0, 1, 2, 3).threads_prefill == 2  # two cores, four threads
    only_slow = facts(root, 8, 9)
    assert (only_slow.threads, only_slow.threads_prefill) == (2, 2)


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.0, 1), (2.0, 2), (99.0, 4)])
def test_a_containers_quota_counts_as_the_machine(tmp_path, quota, threads):
    assert facts(write(tmp_path, HYBRID), quota=quota).threads == threads


def test_a_hidden_sysfs_still_gives_cores(tmp_path):
    assert facts(tmp_path).physical_cores >= 1


@pytest.mark.parametrize(
    ("text", "numbers"), [("0", {0}), ("0-3,8", {0, 1, 2, 3, 8}), ("", set()), ("2,4-5", {2, 4, 5})]
)
def test_cpu_lists(text, numbers):
    assert linux.parse_cpu_list(text) == numbers


def test_the_processors_name_and_features(tmp_path):
    text = "model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512f\nmodel name\t: Another"
    info = linux.read_cpuinfo(write(tmp_path, {"proc/cpuinfo": text}))
    assert info == linux.CpuInfo("Some CPU @ 2 GHz", ("avx2", "avx512f", "fpu"))


def test_arm_lists_features(tmp_path):
    info = linux.read_cpuinfo(write(tmp_path, {"proc/cpuinfo": "Features\t: asimd asimddp"}))
    assert info.features == ("asimd", "asimddp")


VERSION_2 = {
    "proc/self/cgroup": "0::/user.slice/app.scope",
    "sys/fs/cgroup/user.slice/cpu.max": "150000 100000",
    "sys/fs/cgroup/user.slice/app.scope/cpu.max": "max 100000",
}
VERSION_1 = {
    "proc/self/cgroup": "4:memory:/job/7\n2:cpu,cpuacct:/job\n0::/",
    "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "200000",
    "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
}
IN_A_CONTAINER = {  # the group's path is the host's, which is not mounted here
    "proc/self/cgroup": "0::/docker/0123",
    "sys/fs/cgroup/cpu.max": "400000 100000",
}
UNLIMITED = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [(VERSION_2, 1.5), (VERSION_1, 2.0), (IN_A_CONTAINER, 4.0), (UNLIMITED, None), ({}, None)],
    ids=["v2", "v1", "container", "unlimited", "none"],
)
def test_the_tightest_quota_of_the_control_groups_counts(tmp_path, files, cores):
    root = write(tmp_path, files)
    assert linux.cpu_quota(root) == cores


def test_the_largest_cache(tmp_path):
    sizes = {0: "48K", 2: "2048K", 3: "24M", 4: "?"}
    folder = "sys/devices/system/cpu/cpu0/cache/index{}/size"
    root = write(tmp_path, {folder.format(index): size for index, size in sizes.items()})
    assert linux.largest_cache_bytes(root) == 24 << 20
    assert linux.largest_cache_bytes(tmp_path / "elsewhere") == 0


GIB = 1 << 30
MEMINFO = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    8192000 kB"
CALM = (
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0"
)
STALLED = (
    "some avg10=41.50 avg60=9.00 avg300=2.00 total=99\n"
    "full avg10=12.25 avg60=3.00 avg300=0.50 total=50"
)


def test_linux_reports_available_memory_and_stalls(tmp_path):
    root = write(tmp_path, {"proc/meminfo": MEMINFO, "proc/pressure/memory": STALLED})
    assert linux_reading(root) == MemoryReading(
        16000.0, 8000.0, some_percent=41.5, full_percent=12.25
    )


def test_a_kernel_without_pressure_information_reports_none(tmp_path):
    found = linux_reading(write(tmp_path, {"proc/meminfo": MEMINFO}))
    assert (found.some_percent, found.full_percent) == (0.0, 0.0)


V2, V1 = "sys/fs/cgroup/user/app", "sys/fs/cgroup/memory/box"
GROUP_2 = {
    "proc/pressure/memory": CALM,
    "proc/self/cgroup": "0::/user/app",
    f"{V2}/memory.max": str(2 * GIB),
    f"{V2}/memory.current": str(1 * GIB),
    f"{V2}/memory.stat": f"anon 1\ninactive_file {GIB // 4}",
    f"{V2}/memory.pressure": STALLED,
    "sys/fs/cgroup/user/memory.max": "max",
}
GROUP_1 = {  # counts its children too
    "proc/self/cgroup": "4:memory:/box\n2:cpu:/",
    f"{V1}/memory.limit_in_bytes": str(2 * GIB),
    f"{V1}/memory.usage_in_bytes": str(2 * GIB),
    f"{V1}/memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB // 2}",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
}
GENEROUS = {
    "proc/meminfo": MEMINFO.replace("8192000", "102400"),
    "proc/self/cgroup": "0::/",
    "sys/fs/cgroup/memory.max": str(8 * GIB),
    "sys/fs/cgroup/memory.current": "0",
}


@pytest.mark.parametrize(
    ("files", "total_mib", "available_mib", "full_percent"),
    [
        (GROUP_2, 2048.0, 1280.0, 12.25),
        (GROUP_1, 2048.0, 512.0, 0.0),
        (GENEROUS, 8192.0, 100.0, 0.0),  # the machine bounds it
    ],
    ids=["v2", "v1", "generous"],
)
def test_a_control_group_counts_as_the_machine(
    tmp_path, files, total_mib, available_mib, full_percent
):
    found = linux_reading(write(tmp_path, {"proc/meminfo": MEMINFO} | files))
    assert (found.total_mib, found.available_mib) == (total_mib, available_mib)
    assert found.full_percent == full_percent


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

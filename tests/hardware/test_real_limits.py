"""The budget and the threads inside real control groups, as a container has them.

Needs root on Linux with control groups of version 1; version 2 is read from made-up files in
`test_linux.py`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deepseek_r1.core.settings import LoadSettings, default_budget
from deepseek_r1.hardware import machine_memory_mib

MIB = 1 << 20
MOUNTS = Path("/sys/fs/cgroup")
PROGRAM = """
from deepseek_r1.core.settings import default_budget
from deepseek_r1.hardware import cpu, machine_memory_mib
print(default_budget(machine_memory_mib()), cpu().usable_cores, machine_memory_mib())
"""


@pytest.fixture
def groups() -> Iterator[dict[str, Path]]:
    if sys.platform != "linux" or os.geteuid() != 0 or not (MOUNTS / "memory").is_dir():
        pytest.skip("needs root and control groups of version 1")
    made = {kind: MOUNTS / kind / f"r1desk-test-{os.getpid()}" for kind in ("memory", "cpu")}
    try:
        for folder in made.values():
            folder.mkdir()
        yield made
    except OSError as error:
        pytest.skip(f"control groups cannot be made: {error}")
    finally:
        for folder in made.values():
            with suppress(OSError):
                folder.rmdir()


def inside(groups: dict[str, Path], memory_mib: int, cores: float) -> tuple[int, int, float]:
    """The budget, the cores and the memory that a program of ours sees under the limits."""
    (groups["memory"] / "memory.limit_in_bytes").write_text(str(memory_mib * MIB))
    (groups["cpu"] / "cpu.cfs_period_us").write_text("100000")
    (groups["cpu"] / "cpu.cfs_quota_us").write_text(str(int(cores * 100_000)))

    def join() -> None:
        for folder in groups.values():
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        preexec_fn=join,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    budget, usable, memory = done.stdout.split()
    return int(budget), int(usable), float(memory)


def test_half_a_core_and_512_mib(groups: dict[str, Path]):
    budget, cores, memory = inside(groups, 512, 0.5)
    assert memory == 512
    assert budget == int(512 * 0.95)
    assert cores == 1


def test_a_large_limit_leaves_the_default_budget(groups: dict[str, Path]):
    budget, cores, _ = inside(groups, 3000, 2.0)
    assert budget == min(LoadSettings().memory_budget, default_budget(machine_memory_mib()))
    assert cores == min(2, len(os.sched_getaffinity(0)))

"""Runs our engine and llama.cpp under the same real memory limit, arm by arm in both orders (ABBA).

Every arm is a child process in its own control group, started with empty caches. The raw speed of
the drive is measured before each run. The order spreads the load of other programs over all arms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.budget_arm import ArmRequest
from benchmarks.machine_limits import DriveLimit, MemoryGroup, drop_caches, read_ahead
from deepseek_r1.hardware.disk import measure_mib_s
from deepseek_r1.lab.bench.engine_run import RunTimes, in_both_orders, run_in_process

LAPTOP_READ_AHEAD_KIB = 128  # of most Linux machines
ARM_PROGRAM = Path(__file__).with_name("budget_arm.py")


@dataclass(frozen=True, slots=True)
class Arm:
    """A configuration to compare. `read_ahead_kib` 0 is the machine's own."""

    name: str
    kind: str
    threads: int = 0
    read_ahead_kib: int = 0
    limited: bool = True


ARMS = {
    arm.name: arm
    for arm in (
        Arm("ours", "ours"),
        Arm("ours-drafted", "drafted"),
        Arm("mmap-1", "mapped", 1),
        Arm("mmap-2", "mapped", 2),
        Arm("mmap-1-128k", "mapped", 1, LAPTOP_READ_AHEAD_KIB),
        Arm("mmap-2-128k", "mapped", 2, LAPTOP_READ_AHEAD_KIB),
        Arm("resident", "resident", 2, limited=False),
        Arm("ours-resident", "ours", limited=False),
    )
}


DEFAULT_ARMS = tuple(name for name in ARMS if name != "ours-drafted")  # it needs 100 tokens


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an arm. `times` is None if it failed, and `failure` then says why."""

    arm: str
    raw_mib_s: float  # of the drive, just before the run
    peak_mib: float = 0.0  # of the group, including page cache
    limit_hits: int = 0
    times: RunTimes | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of every arm."""

    model: Path
    prompt_tokens: int = 32
    tokens: int = 16
    context_length: int = 1024
    threads: int = 0  # of our engine; 0 is its choice
    ring_mib: float = 0.0  # the ring buffer's size, which the raw read fills as well
    drive_mib_s: float = 0.0  # the drive is limited to this speed; 0 is no limit


def measure(
    work: Work,
    budget_mib: int,
    arms: Sequence[Arm],
    blocks: int,
    on_run: Callable[[Run], None],
) -> list[Run]:
    """Run all arms in both orders, `blocks` times. Raises LimitUnavailable."""
    runs: list[Run] = []
    for arm in in_both_orders(arms, blocks):
        runs.append(run_arm(work, budget_mib, arm))
        on_run(runs[-1])
    return runs


def run_arm(work: Work, budget_mib: int, arm: Arm) -> Run:
    """Run one arm in its own process and group. Raises LimitUnavailable."""
    raw_mib_s = measure_mib_s(work.model, memory_mib=work.ring_mib)
    slower = None
    if 0 < work.drive_mib_s < raw_mib_s:
        raw_mib_s, slower = work.drive_mib_s, DriveLimit(work.model, work.drive_mib_s)
    group = MemoryGroup(budget_mib if arm.limited else None, slower)
    waiting = read_ahead(work.model, arm.read_ahead_kib) if arm.read_ahead_kib else nullcontext()
    try:
        drop_caches()
        with waiting:
            request = _request(work, budget_mib, arm)
            done = run_in_process(request, [str(ARM_PROGRAM)], preexec_fn=group.join)
        peak_mib, hits = group.peak_mib, group.limit_hits
    finally:
        group.remove()
    times, failure = done
    return Run(arm.name, raw_mib_s, peak_mib, hits, times, failure)


def _request(work: Work, budget_mib: int, arm: Arm) -> ArmRequest:
    return ArmRequest(
        model=work.model,
        kind=arm.kind,
        budget_mib=budget_mib if arm.limited else 0,
        threads=work.threads if arm.name.startswith("ours") else arm.threads,
        prompt_tokens=work.prompt_tokens,
        tokens=work.tokens,
        context_length=work.context_length,
        started_at=time.monotonic(),
    )

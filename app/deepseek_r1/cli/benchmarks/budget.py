"""Ours beside llama.cpp under the same real memory limit, arm by arm and back again (ABBA).

Every arm is a process of its own in a control group, started with empty caches; the raw speed of
the drive is measured before each. Both are drawn into the same weather: what a neighbour of the
machine does to one arm it does to the next.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.cli.benchmarks.arm import ArmTimes, Order
from deepseek_r1.cli.benchmarks.machine import DriveLimit, MemoryGroup, drop_caches, read_ahead
from deepseek_r1.hardware.disk import measure_mib_s
from deepseek_r1.host.environment import engine_environment

LAPTOP_READ_AHEAD_KIB = 128  # what most Linux machines have
_LONGEST_S = 1800.0
_ERROR_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to run the model. `read_ahead_kib` 0 is the machine's own."""

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


DEFAULT_ARMS = tuple(name for name in ARMS if name != "ours-drafted")  # it wants 100 tokens


@dataclass(frozen=True, slots=True)
class Run:
    """One arm, once. `times` is None where it failed, and `failure` then says how."""

    arm: str
    raw_mib_s: float  # of the drive, just before
    peak_mib: float = 0.0  # of the group, page cache included
    limit_hits: int = 0
    times: ArmTimes | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What every arm has to do."""

    model: Path
    prompt_tokens: int = 32
    tokens: int = 16
    context_length: int = 1024
    threads: int = 0  # ours; 0 is the engine's choice
    ring_mib: float = 0.0  # what streamed weights pass through: the raw drive fills as much
    drive_mib_s: float = 0.0  # the drive is made as slow as that; 0 leaves it as it is


def measure(
    work: Work,
    budget_mib: int,
    arms: Sequence[Arm],
    blocks: int,
    on_run: Callable[[Run], None],
) -> list[Run]:
    """All arms forth and back, `blocks` times. Raises LimitUnavailable."""
    runs: list[Run] = []
    for arm in forth_and_back(arms, blocks):
        runs.append(run_arm(work, budget_mib, arm))
        on_run(runs[-1])
    return runs


def forth_and_back(arms: Sequence[Arm], blocks: int) -> Iterator[Arm]:
    """A B B A for two arms, once for each block."""
    for _ in range(blocks):
        yield from arms
        yield from reversed(arms)


def run_arm(work: Work, budget_mib: int, arm: Arm) -> Run:
    """One arm in its own process and group. Raises LimitUnavailable."""
    raw_mib_s = measure_mib_s(work.model, memory_mib=work.ring_mib)
    slower = None
    if 0 < work.drive_mib_s < raw_mib_s:
        raw_mib_s, slower = work.drive_mib_s, DriveLimit(work.model, work.drive_mib_s)
    group = MemoryGroup(budget_mib if arm.limited else None, slower)
    waiting = read_ahead(work.model, arm.read_ahead_kib) if arm.read_ahead_kib else nullcontext()
    try:
        drop_caches()
        with waiting:
            done = run_order(_order_for(work, budget_mib, arm), group)
        peak_mib, hits = group.peak_mib, group.limit_hits
    finally:
        group.remove()
    times, failure = done
    return Run(arm.name, raw_mib_s, peak_mib, hits, times, failure)


def _order_for(work: Work, budget_mib: int, arm: Arm) -> Order:
    return Order(
        model=work.model,
        kind=arm.kind,
        budget_mib=budget_mib if arm.limited else 0,
        threads=work.threads if arm.name.startswith("ours") else arm.threads,
        prompt_tokens=work.prompt_tokens,
        tokens=work.tokens,
        context_length=work.context_length,
        ordered_at=time.monotonic(),
    )


def _chosen_library() -> dict[str, str]:
    """Another build of llama.cpp, where whoever measures names its folder as the binding does."""
    return {key: value for key, value in os.environ.items() if key == "LLAMA_CPP_LIB_PATH"}


def run_order(order: Order, group: MemoryGroup | None = None) -> tuple[ArmTimes | None, str]:
    """What a process of its own measured, or how it failed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "deepseek_r1.cli.benchmarks.arm"],
        input=order.model_dump_json(),
        env=engine_environment() | _chosen_library(),
        preexec_fn=group.join if group else None,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    if done.returncode:
        return None, f"{done.returncode}: {done.stderr[-_ERROR_CHARACTERS:].strip()}"
    return ArmTimes.model_validate_json(done.stdout.splitlines()[-1]), ""

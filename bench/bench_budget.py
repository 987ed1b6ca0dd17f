"""Streaming from the drive beside llama.cpp's mapped file, under one real memory limit.

    sudo .venv/bin/python bench/bench_budget.py [MODEL] [--budgets 50%,800]
        [--arms ours,mmap-1] [--blocks 1] [--tokens 16] [--prompt-tokens 32] [--json]

Every arm is a child process in a control group with empty caches, in the order A B B A, so that
other programs slow all of them alike. The raw speed of the drive is measured before each run.
Needs root on Linux.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.budget_arm import ArmRequest
from bench.machine_limits import MIB, MemoryGroup, drop_caches
from bench.runner import Report, argument_parser, in_turns, middle, ratio
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware.read_speed import measure_mib_s
from deepseek_r1.lab.engine_run import RunTimes, run_in_process
from deepseek_r1.memory.plan import ProcessOverhead, plan

ARM_PROGRAM = Path(__file__).with_name("budget_arm.py")
CONTEXT_LENGTH = 4096  # the same for all arms: llama.cpp alone has no automatic context


@dataclass(frozen=True, slots=True)
class Arm:
    """A configuration to compare. `threads` 0 is our engine's choice."""

    kind: str
    threads: int = 0
    limited: bool = True


ARMS = {
    "ours": Arm("ours"),
    "mmap-1": Arm("mapped", 1),
    "mmap-2": Arm("mapped", 2),
    "resident": Arm("resident", 2, limited=False),
    "ours-resident": Arm("ours", limited=False),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an arm. `peak_mib` is that of the group, including page cache."""

    times: RunTimes
    raw_mib_s: float  # of the drive, just before the run
    peak_mib: float
    limit_hits: int


def budgets_in(text: str, file_mib: float) -> list[int]:
    """Returns MiB from a list of MiB and of percents of the file. Raises ValueError."""
    budgets = [
        round(file_mib * float(each.rstrip("%")) / 100) if each.endswith("%") else int(each)
        for each in map(str.strip, text.split(","))
    ]
    if min(budgets) <= 0:
        raise ValueError(f"no budget: {text}")
    return budgets


def arms_in(text: str) -> list[str]:
    """Returns the names in `text`. Raises ArgumentTypeError for an unknown one."""
    names = [each.strip() for each in text.split(",")]
    for name in names:
        if name not in ARMS:
            raise argparse.ArgumentTypeError(f"no arm {name}; there are {', '.join(ARMS)}")
    return names


def bill_for(header: ModelHeader, budget_mib: int) -> Bill:
    """Returns the bill of the streamed model under this budget."""
    settings = LoadSettings(context_length=CONTEXT_LENGTH, swap_enabled=True)
    settings = settings.model_copy(update={"memory_budget": budget_mib})
    return plan(header, settings, ProcessOverhead()).bill


def needed_mib(bill: Bill) -> int:
    """Returns the least budget of our engine if it refuses this one, else 0."""
    least = max(ceil(bill.total_mib), int(LoadSettings.bounds("memory_budget")[0]))
    return least if least > bill.budget_mib else 0


def run_arm(given: argparse.Namespace, bill: Bill, arm: Arm) -> Run:
    """Run one arm in its own process and group. Raises LimitUnavailable, SystemExit."""
    raw_mib_s = measure_mib_s(given.model, memory_mib=bill.mib_of(BillItem.SLOTS))
    group = MemoryGroup(bill.budget_mib if arm.limited else None)
    try:
        drop_caches()
        request = ArmRequest(
            model=given.model,
            kind=arm.kind,
            budget_mib=int(bill.budget_mib) if arm.limited else 0,
            threads=arm.threads or given.threads,
            prompt_tokens=given.prompt_tokens,
            tokens=given.tokens,
            context_length=CONTEXT_LENGTH,
            started_at=time.monotonic(),
        )
        times, failure = run_in_process(request, [str(ARM_PROGRAM)], preexec_fn=group.join)
        if times is None:
            raise SystemExit(f"{arm}: {failure}")
        return Run(times, raw_mib_s, group.peak_mib, group.limit_hits)
    finally:
        group.remove()


def show(report: Report, budget_mib: int, runs: dict[str, list[list[Run]]]) -> None:
    """Report an arm a row, then what our engine reaches of the drive's speed and of the others'."""
    rates = {
        arm: [[run.times.tok_s for run in block] for block in blocks]
        for arm, blocks in runs.items()
    }
    for arm, blocks in runs.items():
        done = [run for block in blocks for run in block]
        row = {
            "tok_s": middle(rates[arm]),
            "prompt_tok_s": middle([[run.times.prefill_tok_s for run in done]]),
            "first_token_s": middle([[run.times.first_token_s for run in done]]),
            "read_mib_token": middle([[run.times.read_mib_token for run in done]]),
            "peak_mib": max(run.peak_mib for run in done),
            "limit_hits": max(run.limit_hits for run in done),
        }
        texts = "   ".join(f"{name} {value:.2f}" for name, value in row.items())
        report.row(f"{budget_mib} MiB  {arm:14} {texts}", budget_mib=budget_mib, arm=arm, **row)
    if "ours" not in runs:
        return
    ours = [run for block in runs["ours"] for run in block]
    raw_mib_s = middle([[run.raw_mib_s for run in ours]])
    if streamed_mib := ours[0].times.streamed_mib:
        share = middle(rates["ours"]) * streamed_mib / raw_mib_s
        report.row(f"of the drive's {raw_mib_s:.0f} MiB/s: {share:.2f}", share_of_disk=share)
    for arm in runs:
        if arm != "ours":
            found = ratio(rates["ours"], rates[arm])
            report.row(f"ours to {arm}: {found}", against=arm, **found._asdict())


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--budgets", default="50%", help="MiB, or percents of the file")
    parser.add_argument("--arms", type=arms_in, default=list(ARMS))
    parser.add_argument("--blocks", type=int, default=1, help="rounds, each in both orders")
    parser.add_argument("--tokens", type=int, default=16, help="tokens to write")
    parser.add_argument("--prompt-tokens", type=int, default=32, help="tokens to read")
    parser.add_argument("--threads", type=int, default=0, help="of our engine, 0: its choice")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the command line. Returns the exit status."""
    given = parsed()
    try:
        header = read_header(given.model)
        report = Report(given, file_mib=round(header.file_bytes / MIB), arms=", ".join(given.arms))
        for budget_mib in budgets_in(given.budgets, header.file_bytes / MIB):
            bill = bill_for(header, budget_mib)
            if needed := needed_mib(bill):
                text = f"{budget_mib} MiB: It needs a budget of at least {needed:,} MiB."
                report.row(text, budget_mib=budget_mib, needed_mib=needed)
                continue

            def run(arm: str, _block: int, bill: Bill = bill) -> Run:
                return run_arm(given, bill, ARMS[arm])

            show(report, budget_mib, in_turns(given.arms, given.blocks, run, warm_up=0))
    except R1Error as error:
        print(error, file=sys.stderr)
        return error.exit_code
    report.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Streaming from the drive beside llama.cpp's mapped file, under one real memory limit.

    sudo .venv/bin/python tests/benchmarks/bench_budget.py [MODEL] [--budgets 50%,800]
        [--arms ours,mmap-1] [--blocks 1] [--tokens 16] [--prompt-tokens 32]
        [--drive-mib-s 0] [--json]

Every arm is a child process in a control group with empty caches. Needs root on Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from rich.console import Console
from rich.table import Table

from benchmarks.budget_figures import summary
from benchmarks.budget_runs import ARMS, DEFAULT_ARMS, Run, Work, measure
from benchmarks.machine_limits import read_ahead_kib
from deepseek_r1.cli.bench_command import machine
from deepseek_r1.cli.options import chosen_model
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.memory.plan import ProcessOverhead, plan

_MIB = 1 << 20
_CONTEXT_LENGTH = 4096  # the same for all arms: llama.cpp alone has no automatic context
_COLUMNS = ("arm", "tok/s", "prompt", "1st s", "MiB/tok", "CPU s/tok", "faults", "peak MiB",
            "hits", "disk MiB/s")  # fmt: skip


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


def bill_for(header: ModelHeader, budget_mib: int, context_length: int) -> Bill:
    """Returns the bill of the streamed model under this budget."""
    settings = LoadSettings(context_length=context_length, swap_enabled=True)
    settings = settings.model_copy(update={"memory_budget": budget_mib})
    return plan(header, settings, ProcessOverhead()).bill


def needed_mib(bill: Bill) -> int:
    """Returns the least budget of our engine if it refuses this one, else 0."""
    least = max(ceil(bill.total_mib), int(LoadSettings.bounds("memory_budget")[0]))
    return least if least > bill.budget_mib else 0


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs all arms under each budget and returns the report."""
    path = chosen_model(options.model).resolve()
    header = read_header(path)
    file_mib = header.file_bytes / _MIB
    work = Work(
        path, options.prompt_tokens, options.tokens, options.context_length, options.threads,
        drive_mib_s=float(options.drive_mib_s),
    )  # fmt: skip
    report: dict[str, Any] = {
        **machine(),
        "model": path.name,
        "file_mib": round(file_mib, 1),
        "prompt_tokens": options.prompt_tokens,
        "tokens": options.tokens,
        "read_ahead_kib": read_ahead_kib(path),
        "drive_mib_s": options.drive_mib_s,
        "budgets": [],
    }
    for budget_mib in budgets_in(options.budgets, file_mib):
        bill = bill_for(header, budget_mib, options.context_length)
        if needed := needed_mib(bill):
            report["budgets"].append({"budget_mib": budget_mib, "needed_mib": needed})
            continue
        ring_mib = sum(line.planned_mib for line in bill.lines if line.name == "slots")
        arms = [ARMS[each] for each in options.arms]
        runs = measure(
            replace(work, ring_mib=ring_mib), budget_mib, arms, options.blocks, _print_run
        )
        figures = summary(runs, options.arms, file_mib)
        plain = [_plain(run) for run in runs]
        report["budgets"].append({**figures, "budget_mib": budget_mib, "runs": plain})
    return report


def _print_run(run: Run) -> None:
    rate = f"{run.times.tok_s:.2f} tok/s" if run.times else run.failure
    print(f"{run.arm}: {rate}", file=sys.stderr)


def _plain(run: Run) -> dict[str, Any]:
    plain = asdict(run)
    plain["times"] = run.times.model_dump() if run.times else None
    return plain


def show(report: dict[str, Any]) -> None:
    """Prints the report as tables."""
    print(report["machine"])
    for figures in report["budgets"]:
        if "needed_mib" in figures:
            needed = f"It needs a budget of at least {figures['needed_mib']:,} MiB."
            print(f"{figures['budget_mib']} MiB: {needed}")
            continue
        limit = f"limit {figures['budget_mib']} MiB, read-ahead {report['read_ahead_kib']} KiB"
        print(f"{report['model']}, {report['file_mib']:.0f} MiB, {limit}")
        if report["drive_mib_s"]:
            print(f"the drive is limited to {report['drive_mib_s']} MiB/s")
        _show_figures(figures)


def _show_figures(figures: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "arm" else "right")
    for row in figures["rows"]:
        table.add_row(
            row["arm"], f"{row['tok_s']:.2f}", f"{row['prefill_tok_s']:.1f}",
            f"{row['first_token_s']:.2f}", f"{row['read_mib_token']:.0f}",
            f"{row['cpu_s_token']:.3f}", f"{row['major_faults_token']:.0f}",
            f"{row['peak_mib']:.0f}", str(row["limit_hits"]), f"{row['raw_mib_s']:.0f}",
        )  # fmt: skip
    Console(highlight=False, width=110).print(table)
    for row in figures["rows"]:
        for failure in row["failures"]:
            print(f"{row['arm']}: {failure}")
    if "bound_tok_s" in figures:
        share, bound = figures["share_of_disk"], figures["bound_tok_s"]
        print(f"Share of the drive's bound: {share:.2f}. Bound {bound:.2f} tok/s.")
    for name, ratio in figures["against"].items():
        numbers = f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        print(f"Ours to {name}: {numbers}")
        if ratio["bound"]:
            print(f"Without any loss it would be {ratio['bound']:.2f}")
    _show_first_token(figures)


def _show_first_token(figures: dict[str, Any]) -> None:
    ours = next((row for row in figures["rows"] if row["arm"] == "ours"), None)
    if ours is None or "read_file_s" not in figures:
        return
    print(
        f"First token after {figures['first_token_to_read_file']:.1f} times the time to read the "
        f"file ({figures['read_file_s']:.2f} s): start of the process {ours['start_s']:.2f} s, "
        f"load {ours['load_s']:.2f} s, prompt {ours['prompt_s']:.2f} s."
    )


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--budgets", default="50%", help="MiB, or percents of the file")
    parser.add_argument("--arms", type=arms_in, default=list(DEFAULT_ARMS))
    parser.add_argument("--blocks", type=int, default=1, help="rounds, each in both orders")
    parser.add_argument("--tokens", type=int, default=16, help="tokens to write")
    parser.add_argument("--prompt-tokens", type=int, default=32, help="tokens to read")
    parser.add_argument("--drive-mib-s", type=int, default=0, help="limit of the drive, 0: none")
    parser.add_argument("--context-length", type=int, default=_CONTEXT_LENGTH)
    parser.add_argument("--threads", type=int, default=0, help="of our engine, 0: its choice")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main() -> int:
    """Runs the command line."""
    options = parsed()
    try:
        report = benchmark(options)
    except R1Error as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps(report))
    else:
        show(report)
    measured = [figures for figures in report["budgets"] if "rows" in figures]
    return 0 if any(row["tok_s"] for figures in measured for row in figures["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())

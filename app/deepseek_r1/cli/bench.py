"""`deepseek-r1 bench`: how fast this computer runs a model, under a memory limit and without."""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import asdict, replace
from math import ceil
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.benchmarks.arm import Order
from deepseek_r1.cli.benchmarks.budget import (
    ARMS,
    DEFAULT_ARMS,
    Arm,
    Run,
    Work,
    forth_and_back,
    measure,
    run_order,
)
from deepseek_r1.cli.benchmarks.figures import row_of, summary
from deepseek_r1.cli.benchmarks.machine import read_ahead_kib
from deepseek_r1.cli.help_pages import Command, Group
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.memory.plan import ProcessShare, plan

app = typer.Typer(
    help=tr("How fast this computer runs a model."),
    no_args_is_help=True,
    cls=Group,
    rich_markup_mode=None,
)
_MIB = 1 << 20


def _budgets(text: str, file_mib: float) -> list[int]:
    """MiB, from a list of MiB and of percents of the file. Raises WrongUsage."""
    try:
        budgets = [
            round(file_mib * float(each.rstrip("%")) / 100) if each.endswith("%") else int(each)
            for each in map(str.strip, text.split(","))
        ]
    except ValueError:
        budgets = []
    if not budgets or min(budgets) <= 0:
        raise WrongUsage(detail=tr("Budgets are MiB or percents of the file: 50%,800."))
    return budgets


def _bill(header: ModelHeader, budget_mib: int, context_length: int) -> Bill:
    asked = LoadSettings(context_length=context_length, swap_enabled=True)
    return plan(header, asked.model_copy(update={"memory_budget": budget_mib}), ProcessShare())


def _ring_mib(bill: Bill) -> float:
    """What streamed weights pass through."""
    return sum(line.planned_mib for line in bill.lines if line.name == "slots")


def _needed_mib(bill: Bill) -> int:
    """What ours asks for at least where it refuses to load under this budget, else 0."""
    budget_mib = bill.budget_mib
    needed_mib = max(ceil(bill.total_mib), int(LoadSettings.bounds("memory_budget")[0]))
    return needed_mib if needed_mib > budget_mib else 0


def _arms(text: str) -> list[str]:
    names = [each.strip() for each in text.split(",")]
    unknown = [each for each in names if each not in ARMS]
    if unknown:
        known = ", ".join(ARMS)
        raise WrongUsage(detail=tr("There is no arm {a}; there are {b}.", a=unknown[0], b=known))
    return names


@app.command(
    "budget",
    cls=Command,
    help=tr(
        "Streaming from the disk beside llama.cpp's mapped file, under one real memory limit. "
        "Needs root on Linux."
    ),
)
def bench_budget(
    model: o.ModelArgument = None,
    *,
    budgets: Annotated[
        str, typer.Option(help=tr("Limits to measure under: MiB, or percents of the file."))
    ] = "50%",
    arms: Annotated[str, typer.Option(help=tr("What to compare."))] = ",".join(DEFAULT_ARMS),
    blocks: Annotated[int, typer.Option(min=1, help=tr("How often forth and back."))] = 1,
    tokens: Annotated[int, typer.Option(min=1, help=tr("Tokens to write."))] = 16,
    prompt_tokens: Annotated[int, typer.Option(min=32, help=tr("Tokens to read."))] = 32,
    drive_mib_s: Annotated[
        int,
        typer.Option(
            "--drive-mib-s", min=0, help=tr("Make the drive as slow as that; 0 leaves it alone.")
        ),
    ] = 0,
    context_length: o.ContextLength = o.LOAD.context_length,
    threads: o.Threads = 0,
    as_json: o.Json = False,
) -> None:
    """Streaming from the disk beside llama.cpp's mapped file, under one real memory limit.

    Needs root on Linux.
    """
    path = o.chosen_model(model).resolve()
    header = read_header(path)
    names = _arms(arms)
    work = Work(
        path, prompt_tokens, tokens, context_length, threads, drive_mib_s=float(drive_mib_s)
    )
    report = _machine() | {
        "model": path.name,
        "file_mib": round(header.file_bytes / _MIB, 1),
        "prompt_tokens": prompt_tokens,
        "tokens": tokens,
        "read_ahead_kib": read_ahead_kib(path),
        "drive_mib_s": drive_mib_s,
        "budgets": [],
    }
    for budget_mib in _budgets(budgets, header.file_bytes / _MIB):
        bill = _bill(header, budget_mib, context_length)
        if needed_mib := _needed_mib(bill):
            report["budgets"].append({"budget_mib": budget_mib, "needed_mib": needed_mib})
            if not as_json:
                needed = tr("It needs a budget of at least {needed:,} MiB.", needed=needed_mib)
                output.result(f"{budget_mib} MiB: {needed}")
            continue
        work = replace(work, ring_mib=_ring_mib(bill))
        runs = measure(work, budget_mib, [ARMS[each] for each in names], blocks, _told)
        told = summary(runs, names, header.file_bytes / _MIB) | {"budget_mib": budget_mib}
        output.status("")
        if as_json:
            report["budgets"].append(told | {"runs": [_plain(run) for run in runs]})
        else:
            _show(report, told)
    if as_json:
        output.result_json(report)


def _machine() -> dict[str, Any]:
    processor = cpu()
    return {
        "machine": f"{processor.name}, {processor.usable_cores} cores, "
        f"{machine_memory_mib():.0f} MiB, {platform.platform()}"
    }


def _plain(run: Run) -> dict[str, Any]:
    plain = asdict(run)
    plain["times"] = run.times.model_dump() if run.times else None
    return plain


def _told(run: Run) -> None:
    rate = f"{run.times.tok_s:.2f} tok/s" if run.times else run.failure
    output.status(f"{run.arm}: {rate}")


@app.command(
    "engine",
    cls=Command,
    help=tr(
        "Reading and writing with the whole model in memory, with different numbers of threads. "
        "On Linux only."
    ),
)
def bench_engine(
    model: o.ModelArgument = None,
    *,
    threads: Annotated[str, typer.Option(help=tr("Thread counts to compare: 1,2,4."))] = "",
    blocks: Annotated[int, typer.Option(min=1, help=tr("How often forth and back."))] = 2,
    tokens: Annotated[int, typer.Option(min=1, help=tr("Tokens to write."))] = 64,
    prompt_tokens: Annotated[int, typer.Option(min=32, help=tr("Tokens to read."))] = 256,
    as_json: o.Json = False,
) -> None:
    """Reading and writing with the whole model in memory, with different numbers of threads.

    On Linux only.
    """
    if sys.platform != "linux":
        raise WrongUsage(
            detail=tr("“bench engine” reads what Linux counts for a process; it runs there only.")
        )
    path = o.chosen_model(model).resolve()
    counts = _counts(threads or ",".join(map(str, range(1, cpu().usable_cores + 1))))
    arms = [Arm(str(count), "ours", count, limited=False) for count in counts]
    runs: list[Run] = []
    for arm in forth_and_back(arms, blocks):
        order = Order(
            model=path, kind="ours", threads=arm.threads, tokens=tokens,
            prompt_tokens=prompt_tokens, ordered_at=time.monotonic(),
        )  # fmt: skip
        times, failure = run_order(order)
        runs.append(Run(arm.name, 0.0, times=times, failure=failure))
        _told(runs[-1])
    output.status("")
    rows = [row_of(runs, arm.name) for arm in arms]
    kept = ("tok_s", "prefill_tok_s", "first_token_s", "cpu_s_token", "rss_peak_mib", "failures")
    told = [{"threads": int(row["arm"]), **{key: row[key] for key in kept}} for row in rows]
    if as_json:
        output.result_json(_machine() | {"model": path.name, "rows": told})
        return
    output.result(f"{_machine()['machine']}\n{path.name}")
    for row in told:
        rates = f"{row['tok_s']:8.2f} tok/s {row['prefill_tok_s']:8.1f} tok/s"
        output.result(tr("{n} threads: writing, reading {rates}", n=row["threads"], rates=rates))
        _show_failures(str(row["threads"]), row)


def _counts(text: str) -> list[int]:
    """Thread counts. Raises WrongUsage."""
    try:
        counts = [int(each) for each in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not 0 < min(counts) <= max(counts) <= LoadSettings.bounds("threads")[1]:
        raise WrongUsage(detail=tr("Thread counts are numbers: 1,2,4."))
    return counts


def _show_failures(name: str, row: dict[str, Any]) -> None:
    for failure in row["failures"]:
        output.result(f"{name}: {failure}")


_COLUMNS = ("arm", "tok/s", "prompt", "1st s", "MiB/tok", "CPU s/tok", "faults", "peak MiB",
            "hits", "disk MiB/s")  # fmt: skip


def _show(report: dict[str, Any], told: dict[str, Any]) -> None:
    output.result(report["machine"])
    output.result(
        f"{report['model']}, {report['file_mib']:.0f} MiB, "
        + tr("limit {n} MiB, read-ahead {m} KiB", n=told["budget_mib"], m=report["read_ahead_kib"])
    )
    if report["drive_mib_s"]:
        output.result(tr("the drive held to {n} MiB a second", n=report["drive_mib_s"]))
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "arm" else "right")
    for row in told["rows"]:
        table.add_row(
            row["arm"], f"{row['tok_s']:.2f}", f"{row['prefill_tok_s']:.1f}",
            f"{row['first_token_s']:.2f}", f"{row['read_mib_token']:.0f}",
            f"{row['cpu_s_token']:.3f}", f"{row['major_faults_token']:.0f}",
            f"{row['peak_mib']:.0f}", str(row["limit_hits"]), f"{row['raw_mib_s']:.0f}",
        )  # fmt: skip
    Console(highlight=False, width=110).print(table)
    for row in told["rows"]:
        _show_failures(row["arm"], row)
    if "bound_tok_s" in told:
        output.result(
            tr(
                "Of what the disk allows: {share}. Bound {bound} tok/s.",
                share=f"{told['share_of_disk']:.2f}",
                bound=f"{told['bound_tok_s']:.2f}",
            )
        )
    for name, ratio in told["against"].items():
        numbers = f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        output.result(tr("Ours to {name}: {numbers}", name=name, numbers=numbers))
        if ratio["bound"]:
            bound = f"{ratio['bound']:.2f}"
            output.result(tr("No loss at all, of the drive or of computing: {bound}", bound=bound))
    _show_first_token(told)


def _show_first_token(told: dict[str, Any]) -> None:
    """Where the time until the first token goes, in seconds."""
    ours = next((row for row in told["rows"] if row["arm"] == "ours"), None)
    if ours is None or "read_file_s" not in told:
        return
    parts = {name: f"{ours[f'{name}_s']:.2f}" for name in ("start", "load", "prompt")}
    output.result(
        tr(
            "First token after {ratio} times the reading of the file ({file} s): start of the "
            "process {start} s, load {load} s, prompt {prompt} s.",
            ratio=f"{told['first_token_to_read_file']:.1f}",
            file=f"{told['read_file_s']:.2f}",
            **parts,
        )
    )

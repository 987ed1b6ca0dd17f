"""Computes medians, ratios with confidence intervals, and shares of the bound from runs."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.budget_runs import Run
from deepseek_r1.lab.bench.engine_run import medians

_DRAWS = 2000
_TAIL = 0.025  # on either side of a 95 % interval


def ratio(ours: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Returns the ratio of the medians with a 95 % interval (bootstrap over runs)."""
    draw = random.Random(1)
    drawn = sorted(
        statistics.median(draw.choices(ours, k=len(ours)))
        / statistics.median(draw.choices(others, k=len(others)))
        for _ in range(_DRAWS)
    )
    edge = int(_DRAWS * _TAIL)
    middle = statistics.median(ours) / statistics.median(others)
    return middle, drawn[edge], drawn[-edge - 1]


def row_of(runs: Sequence[Run], arm: str) -> dict[str, Any]:
    """Returns the medians of one arm's runs, and the maximum of peak and limit hits."""
    mine = [run for run in runs if run.arm == arm]
    good = [run.times for run in mine if run.times is not None]
    row: dict[str, Any] = {
        "arm": arm,
        "runs": len(mine),
        "failures": [run.failure for run in mine if run.failure],
        "peak_mib": round(max((run.peak_mib for run in mine), default=0.0), 1),
        "limit_hits": max((run.limit_hits for run in mine), default=0),
        "raw_mib_s": round(statistics.median([run.raw_mib_s for run in mine]), 1),
    }
    return row | medians(good)


def summary(runs: Sequence[Run], arms: Sequence[str], file_mib: float) -> dict[str, Any]:
    """Returns a row for each arm, and the ratios of our engine to the others.

    `disk_tok_s` is the bound by the raw drive for the bytes that our engine streams. `bound_tok_s`
    is the lower one of it and of the resident speed, if that was measured.
    """
    rows = [row_of(runs, arm) for arm in arms if any(run.arm == arm for run in runs)]
    figures: dict[str, Any] = {"rows": rows, "against": {}}
    by_name = {row["arm"]: row for row in rows}
    ours = by_name.get("ours")
    if ours is None or not ours["tok_s"]:
        return figures
    raw_mib_s = statistics.median(run.raw_mib_s for run in runs)
    figures["raw_mib_s"] = raw_mib_s
    figures["read_file_s"] = file_mib / raw_mib_s
    figures["first_token_to_read_file"] = ours["first_token_s"] / figures["read_file_s"]
    resident = by_name.get("ours-resident") or by_name.get("resident")
    if ours["streamed_mib"]:
        figures["disk_tok_s"] = raw_mib_s / ours["streamed_mib"]
        bounds = [figures["disk_tok_s"], *([resident["tok_s"]] if resident else [])]
        figures["bound_tok_s"] = min(bound for bound in bounds if bound)
        figures["share_of_disk"] = ours["tok_s"] / figures["disk_tok_s"]
        figures["share_of_bound"] = ours["tok_s"] / figures["bound_tok_s"]
        figures["bound_against_mmap"] = file_mib / ours["streamed_mib"]
    if resident and resident["prefill_tok_s"]:
        figures["prefill_to_resident"] = ours["prefill_tok_s"] / resident["prefill_tok_s"]
    figures["against"] = _against(runs, by_name, "ours", figures.get("bound_tok_s", 0.0))
    if by_name.get("ours-drafted", {}).get("tok_s"):
        drafted = _against(runs, by_name, "ours-drafted", 0.0)
        figures["against"] |= {f"{name}, drafted": each for name, each in drafted.items()}
    return figures


def _against(
    runs: Sequence[Run], rows: dict[str, dict[str, Any]], ours: str, bound_tok_s: float
) -> dict[str, Any]:
    """Returns the ratio of `ours` to the better thread count of llama.cpp, at each read-ahead.

    `bound` is the ratio without any loss to the raw drive and the resident speed, 0 if nothing is
    streamed.
    """

    def rates(arm: str) -> list[float]:
        return [run.times.tok_s for run in runs if run.arm == arm and run.times is not None]

    figures: dict[str, Any] = {}
    for name, candidates in {
        "mmap": ("mmap-1", "mmap-2"),
        "mmap-128k": ("mmap-1-128k", "mmap-2-128k"),
        "resident": ("resident",),
    }.items():
        ran = [each for each in candidates if each in rows and rows[each]["tok_s"]]
        if ran:
            best = max(ran, key=lambda each: float(rows[each]["tok_s"]))
            middle, low, high = ratio(rates(ours), rates(best))
            bound = bound_tok_s / rows[best]["tok_s"]
            figures[name] = {"arm": best, "ratio": middle, "low": low, "high": high, "bound": bound}
    return figures

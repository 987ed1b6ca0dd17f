"""What the runs of a benchmark say: medians, ratios with their intervals, shares of the bound."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any

from deepseek_r1.cli.benchmarks.budget import Run

_DRAWS = 2000
_TAIL = 0.025  # on either side of a 95 % interval


def ratio(ours: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Median of ours over the median of the others, with a 95 % interval (bootstrap over runs)."""
    draw = random.Random(1)  # noqa: S311 - statistics, and the same result for the same runs
    drawn = sorted(
        statistics.median(draw.choices(ours, k=len(ours)))
        / statistics.median(draw.choices(others, k=len(others)))
        for _ in range(_DRAWS)
    )
    edge = int(_DRAWS * _TAIL)
    middle = statistics.median(ours) / statistics.median(others)
    return middle, drawn[edge], drawn[-edge - 1]


def row_of(runs: Sequence[Run], arm: str) -> dict[str, Any]:
    """Medians of one arm's runs; the peak and the limit's hits are the most of them."""
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
    for key in (
        "tok_s", "prefill_tok_s", "first_token_s", "start_s", "load_s", "prompt_s",
        "streamed_mib", "io_wait_s", "read_mib_token", "cpu_s_token", "major_faults_token",
        "rss_peak_mib", "threads",
    ):  # fmt: skip
        row[key] = statistics.median(getattr(each, key) for each in good) if good else 0.0
    return row


def summary(runs: Sequence[Run], arms: Sequence[str], file_mib: float) -> dict[str, Any]:
    """A row for each arm, and ours against the others.

    `disk_tok_s` is the bound that the raw drive sets for the bytes that ours streams; the bound of
    the whole is the lower one of it and of the resident speed, where that was measured.
    """
    rows = [row_of(runs, arm) for arm in arms if any(run.arm == arm for run in runs)]
    told: dict[str, Any] = {"rows": rows, "against": {}}
    by_name = {row["arm"]: row for row in rows}
    ours = by_name.get("ours")
    if ours is None or not ours["tok_s"]:
        return told
    raw_mib_s = statistics.median(run.raw_mib_s for run in runs)
    told["raw_mib_s"] = raw_mib_s
    told["read_file_s"] = file_mib / raw_mib_s
    told["first_token_to_read_file"] = ours["first_token_s"] / told["read_file_s"]
    resident = by_name.get("ours-resident") or by_name.get("resident")
    if ours["streamed_mib"]:
        told["disk_tok_s"] = raw_mib_s / ours["streamed_mib"]
        bounds = [told["disk_tok_s"], *([resident["tok_s"]] if resident else [])]
        told["bound_tok_s"] = min(bound for bound in bounds if bound)
        told["share_of_disk"] = ours["tok_s"] / told["disk_tok_s"]
        told["share_of_bound"] = ours["tok_s"] / told["bound_tok_s"]
        told["bound_against_mmap"] = file_mib / ours["streamed_mib"]
    if resident and resident["prefill_tok_s"]:
        told["prefill_to_resident"] = ours["prefill_tok_s"] / resident["prefill_tok_s"]
    told["against"] = _against(runs, by_name, "ours", told.get("bound_tok_s", 0.0))
    if by_name.get("ours-drafted", {}).get("tok_s"):
        drafted = _against(runs, by_name, "ours-drafted", 0.0)
        told["against"] |= {f"{name}, drafted": each for name, each in drafted.items()}
    return told


def _against(
    runs: Sequence[Run], rows: dict[str, dict[str, Any]], ours: str, bound_tok_s: float
) -> dict[str, Any]:
    """`ours` over the better thread count of llama.cpp's mapped file, at each read-ahead.

    `bound` is what the ratio would be if ours lost nothing: neither of the raw drive nor of the
    resident speed. 0 where nothing is streamed.
    """

    def rates(arm: str) -> list[float]:
        return [run.times.tok_s for run in runs if run.arm == arm and run.times is not None]

    told: dict[str, Any] = {}
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
            told[name] = {"arm": best, "ratio": middle, "low": low, "high": high, "bound": bound}
    return told

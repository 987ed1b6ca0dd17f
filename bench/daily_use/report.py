"""The report of a run, from the tables that it left."""

from __future__ import annotations

import csv
import platform
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from person import Person

NEAR_S = 3.0  # the machine's slowness around a turn
MOST_LINES = 80


def table(file: Path) -> list[dict[str, str]]:
    """The lines of a CSV file with a head."""
    if not file.exists():
        return []
    with file.open() as lines:
        return list(csv.DictReader(lines))


def clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def write_report(out: Path, me: Person, began: float, at_end: tuple[int, int]) -> None:
    """Write `report.md`."""
    names = ("began", "ended", "phase", "task", "step", "result")
    with (out / "steps.csv").open() as lines:
        steps = [dict(zip(names, row, strict=True)) for row in csv.reader(lines)]
    lines = [
        "# Daily use",
        "",
        f"{clock(began)} to {clock(time.time())}, {(time.time() - began) / 60:.0f} minutes, on "
        f"{platform.node()}, {platform.machine()}, {_processor()}.",
        f"{me.steps} steps, {len(me.failures)} failed. At the end {at_end[0]} chats in "
        f"{at_end[1]} folders and outside of them.",
        "",
        *_phases(steps),
        *_stops(me.stops),
        *_memory(table(out / "resources.csv")),
        *_failures(me.failures),
        *_turns(table(out / "turns.csv"), table(out / "host.csv"), steps),
        *_log(out / "profile" / "logs" / "window.log"),
    ]
    (out / "report.md").write_text("\n".join(lines) + "\n")
    print(out / "report.md")


def _processor() -> str:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return f"{len(models)} x {models[0]}"


def _phases(steps: Sequence[dict[str, str]]) -> list[str]:
    done, bad = Counter(), Counter()
    for step in steps:
        done[step["phase"]] += 1
        bad[step["phase"]] += step["result"] != "ok"
    tasks = Counter(step["task"] for step in steps)
    return [
        "| phase | steps | failed |", "| --- | --- | --- |",
        *(f"| {phase} | {count} | {bad[phase]} |" for phase, count in done.items()),
        "", "Steps of each task: " + ", ".join(f"{t} {n}" for t, n in sorted(tasks.items())), "",
    ]  # fmt: skip


def _stops(stops: Sequence[tuple[int, int]]) -> list[str]:
    def three(numbers: Sequence[int]) -> str:
        return f"{min(numbers)} / {statistics.median(numbers):g} / {max(numbers)}"

    if not stops:
        return []
    after, at_rest = zip(*stops, strict=True)
    return [
        "## Stops", "",
        f"{len(stops)} stops. Ticks (10 ms) of all children in 3 s, least / median / most: "
        f"after the stop {three(after)}, at rest {three(at_rest)}.",
        f"Each: {', '.join(f'{a} ({b})' for a, b in stops)}.", "",
    ]  # fmt: skip


def _memory(resources: Sequence[dict[str, str]]) -> list[str]:
    if not resources:
        return []

    def of(column: str) -> str:
        values = [float(row[column]) for row in resources]
        return f"{values[0]:.0f} at first, {values[-1]:.0f} at the end, {max(values):.0f} at most"

    return [
        "## Resources", "",
        f"- window, resident MiB: {of('window_rss_mib')}",
        f"- window, proportional MiB: {of('window_pss_mib')}",
        f"- its children, proportional MiB: {of('children_pss_mib')}",
        f"- threads of the window: {of('threads')}",
        f"- load of the machine: {of('load')}", "",
    ]  # fmt: skip


def _failures(failures: Sequence[str]) -> list[str]:
    return ["## Failed steps", "", *(f"- {each}" for each in failures or ["none"]), ""]


def _turns(
    turns: Sequence[dict[str, str]],
    host: Sequence[dict[str, str]],
    steps: Sequence[dict[str, str]],
) -> list[str]:
    """The longest turns, with what the machine and the person did."""
    ratios = [(float(row["clock"]), float(row["ratio"])) for row in host]
    spans = [(float(s["began"]), float(s["ended"]), f"{s['task']}: {s['step']}") for s in steps]

    def near(at: float) -> float:
        return max((ratio for when, ratio in ratios if abs(when - at) < NEAR_S), default=0.0)

    def doing(at: float) -> str:
        found = [name for began, ended, name in spans if began - 0.2 <= at <= ended + 0.2]
        before = [name for began, _ended, name in spans if began <= at]
        return found[-1] if found else f"after {before[-1]}" if before else "start"

    def line(row: dict[str, Any]) -> str:
        at = float(row["clock"])
        fields = [clock(at), row["wall_ms"], row["own_cpu_ms"], row["waited_for_processor_ms"],
                  f"{near(at):.1f}", row["load"], doing(at)]  # fmt: skip
        return f"| {' | '.join(fields)} |"

    own = [row for row in turns if float(row["own_cpu_ms"]) > 50]
    longest = sorted(turns, key=lambda row: -float(row["own_cpu_ms"]))[:MOST_LINES]
    return [
        "## Turns of the window's thread over 50 ms", "",
        f"{len(turns)} turns, {len(own)} of them with more than 50 ms of processor time of its own;"
        f" the {len(longest)} with most of it:", "",
        "| clock | wall ms | own processor ms | waited for a processor ms | host's ratio | load "
        "| doing |", "| --- | --- | --- | --- | --- | --- | --- |",
        *map(line, longest), "",
    ]  # fmt: skip


def _log(file: Path) -> list[str]:
    """Warnings and worse in the application's own log."""
    if not file.exists():
        return []
    text = file.read_text(errors="replace").splitlines()
    kinds = Counter(
        each[24:200] for each in text if each[24:31] in ("WARNING", "ERROR  ", "CRITICA")
    )
    return [
        "## The application's log",
        "",
        *(f"- {n} x {line}" for line, n in kinds.most_common(40)),
    ]

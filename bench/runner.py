"""What benchmarks share: the machine in a line, arms in turns, ratios with intervals, a report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from deepseek_r1.core.paths import starter_model
from deepseek_r1.hardware import cpu, machine_memory_mib
from deepseek_r1.hardware.read_speed import measure_mib_s

Result = TypeVar("Result")
_DRAWS, _TAIL = 2000, 0.025  # of a bootstrap, and what is outside of its interval on either side


class Ratio(NamedTuple):
    """A ratio with the interval (95 %) in which it lies."""

    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Ratio:
    """Ours / theirs: the median of the blocks' ratios, its interval a bootstrap over the blocks."""
    blocks = [
        statistics.mean(mine) / statistics.mean(other)
        for mine, other in zip(ours, theirs, strict=True)
    ]
    draw = random.Random(1)
    drawn = sorted(statistics.median(draw.choices(blocks, k=len(blocks))) for _ in range(_DRAWS))
    edge = int(_DRAWS * _TAIL)
    return Ratio(statistics.median(blocks), drawn[edge], drawn[-edge - 1])


def in_turns(
    arms: Sequence[str], blocks: int, run: Callable[[str, int], Result], *, warm_up: int = 1
) -> dict[str, list[list[Result]]]:
    """Run the arms forth and back in each block: A B B A, and B A A B in the next one.

    So other programs slow all of them alike. `run` takes the arm and the number of the block, which
    is negative in the blocks that warm up. Returns the results of each arm, block by block.
    """
    results: dict[str, list[list[Result]]] = {arm: [] for arm in arms}
    for number in range(-warm_up, blocks):
        forth = list(arms) if number % 2 == 0 else list(reversed(arms))
        block: dict[str, list[Result]] = {arm: [] for arm in arms}
        for arm in (*forth, *reversed(forth)):
            block[arm].append(run(arm, number))
        for arm, done in block.items() if number >= 0 else ():
            results[arm].append(done)
    return results


def middle(blocks: Sequence[Sequence[float]]) -> float:
    """The median of all runs of an arm."""
    return statistics.median(each for block in blocks for each in block)


def argument_parser(
    description: str | None, *, needs_model: bool = False
) -> argparse.ArgumentParser:
    """Options that all benchmarks have: the model's file, and --json."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    if needs_model:
        parser.add_argument("model", type=Path)
    else:
        parser.add_argument("model", type=Path, nargs="?", default=starter_model())
    parser.add_argument("--json", action="store_true")
    return parser


def machine() -> str:
    """This computer in a line."""
    processor = cpu()
    return (
        f"{processor.name}, {processor.usable_cores} cores, {machine_memory_mib():.0f} MiB, "
        f"{platform.platform()}"
    )


class Report:
    """Prints machine, disk and arms, then rows as they come; or all as JSON at the end."""

    def __init__(self, options: argparse.Namespace, **facts: object) -> None:
        """`facts` are what all rows have in common, as the arms."""
        self._json = options.json
        model = Path(options.model)
        self._facts: dict[str, Any] = {
            "machine": machine(),
            "disk_mib_s": round(measure_mib_s(model)),
            "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
            "model": model.name,
        } | facts
        self._rows: list[dict[str, Any]] = []
        if not self._json:
            print("; ".join(f"{name} {value}" for name, value in self._facts.items()), flush=True)

    def row(self, text: str, **values: object) -> None:
        """A row for people and its values for programs."""
        self._rows.append(values)
        if not self._json:
            print(text, flush=True)

    def end(self) -> None:
        """Print the JSON, if it is wanted."""
        if self._json:
            print(json.dumps(self._facts | {"rows": self._rows}))

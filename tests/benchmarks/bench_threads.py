"""Does the thread governor reach the best fixed thread count, whatever else the machine does?

    python tests/benchmarks/bench_threads.py MODEL [--busy 0 1 2] [--blocks 4]
        [--tokens 48] [--json]

Arms: each fixed count from 1 to the automatic one, and the governor (`threads` 0). Every block
runs all arms and then all of them backwards, in one loaded model, beside `--busy` programs that
never rest. The process has the engine's priority (niceness 5) and its way of waiting. The governor
keeps what it knows from block to block, as it does from answer to answer; the block in which it
first meets a situation is printed on its own ("cold") and not part of the ratio. The ratio is the
governor's rate to that of the fixed count that was best over all blocks, its interval a bootstrap
over blocks (95 %).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import cpu, default_threads
from deepseek_r1.host.child import NICENESS

BUSY = "while True: pass"
GOVERNED = 0
PAUSE_S = 0.3


@contextmanager
def busy_programs(count: int, niceness: int) -> Iterator[None]:
    """Programs of a user at work: at the priority this process had at its start."""
    command = [sys.executable, "-c", BUSY]
    others = [subprocess.Popen(command) for _ in range(count)]
    try:
        for other in others if hasattr(os, "setpriority") else []:
            os.setpriority(os.PRIO_PROCESS, other.pid, niceness)
        time.sleep(PAUSE_S)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


class Bench:
    def __init__(self, path: Path, tokens: int) -> None:
        self.tokens = tokens
        settings = LoadSettings(memory_budget=65536, context_length=1024)
        self.model = CPUInference(path, settings=settings)

    def rate(self, threads: int) -> float:
        """Tokens a second of answers that together have about `tokens` tokens."""
        self.model.set_threads(threads, 0)
        written, seconds = 0, 0.0
        while written < self.tokens:
            sampling = SamplingSettings(temperature=0.9, max_tokens=self.tokens)
            *_, last = self.model.stream("Write on and on about a dragon.", sampling=sampling)
            assert isinstance(last, GenerationFinished)
            written += max(1, last.stats.completion_tokens - 1)
            seconds += last.stats.decode_s
        return written / seconds

    def measure(self, busy: int, blocks: int, niceness: int) -> dict[str, Any]:
        fixed = list(range(1, default_threads() + 1))
        rates: dict[int, list[float]] = {arm: [] for arm in (*fixed, GOVERNED)}
        with busy_programs(busy, niceness):
            cold = self.rate(GOVERNED)
            self.rate(fixed[-1])
            for number in range(blocks):
                order = [*fixed, GOVERNED] if number % 2 else [GOVERNED, *fixed]
                forth = {arm: self.rate(arm) for arm in order}
                back = {arm: self.rate(arm) for arm in reversed(order)}
                for arm, list_of in rates.items():
                    list_of.append((forth[arm] + back[arm]) / 2)
        best = max(fixed, key=lambda arm: statistics.mean(rates[arm]))
        middle, low, high = ratio(rates[GOVERNED], rates[best])
        return {
            "busy": busy,
            "fixed": {arm: statistics.median(rates[arm]) for arm in fixed},
            "governor": statistics.median(rates[GOVERNED]),
            "cold": cold,
            "best": best,
            "ratio": middle,
            "low": low,
            "high": high,
        }


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """The mean of `ours` to that of `theirs`, and a bootstrap's interval over the blocks."""
    draw, count = random.Random(1), len(ours)

    def of(picked: list[int]) -> float:
        return sum(ours[i] for i in picked) / sum(theirs[i] for i in picked)

    many = sorted(of(draw.choices(range(count), k=count)) for _ in range(2000))
    return of(list(range(count))), many[50], many[-51]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=starter_model())
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    niceness = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    bench = Bench(given.model, given.tokens)
    print(f"{cpu().name}, {cpu().usable_cores} cores, {platform.platform()}; {given.model.name}")
    rows = []
    for busy in given.busy:
        row = bench.measure(busy, given.blocks, niceness)
        rows.append(row)
        arms = "   ".join(f"fixed {arm} {rate:6.2f}" for arm, rate in row["fixed"].items())
        print(
            f"{busy} busy   {arms}   governor {row['governor']:6.2f} (cold {row['cold']:.2f})   "
            f"ratio to fixed {row['best']} {row['ratio']:.3f} ({row['low']:.3f} to "
            f"{row['high']:.3f})",
            flush=True,
        )
    if given.json:
        print(json.dumps(rows))
    bench.model.close()


if __name__ == "__main__":
    main()

"""Measures one computation with our attention kernels beside llama.cpp's flash attention.

    python tests/benchmarks/bench_attention.py MODEL [--cells 500,1500] [--rows 1,15,256]

Two contexts of one model compute the same number of rows (tokens) behind the same number of cells,
in turns; which one begins changes each time. 1 row is decode, 15 are a token and its drafts, 256
a piece of a prompt. The ratio is llama.cpp's time / ours, its interval a bootstrap over the
repetitions (95 %).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "app"), str(HERE.parents[1])]

from benchmarks.bench_engine import ratio
from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama import attention
from deepseek_r1.engine.llama import context as context_module
from deepseek_r1.engine.llama.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import cpu

MICRO_BATCH: Final = 256
ARMS: Final = ("ours", "llama.cpp")


def numbers(text: str) -> list[int]:
    """Read numbers between commas."""
    return [int(each) for each in text.split(",")]


@contextmanager
def contexts(
    model: LlamaModel, params: ContextParams, maker: str
) -> Iterator[dict[str, LlamaContext]]:
    """Yield a context for each arm; llama.cpp's has nothing of what `maker` of `context` makes."""
    made = {"ours": LlamaContext(library(), model, params)}
    try:
        with mock.patch.object(context_module, maker, return_value=None):
            made["llama.cpp"] = LlamaContext(library(), model, params)
        yield made
    finally:
        for context in made.values():
            context.close()


def fill(context: LlamaContext, cells: int) -> None:
    """Compute cells until there are as many."""
    while (missing := cells - context.used) > 0:
        context.compute([1000 + each % 5000 for each in range(min(missing, MICRO_BATCH))])


def timed(context: LlamaContext, cells: int, rows: int) -> float:
    """Return the milliseconds of one computation of some rows behind the first cells."""
    context.truncate(cells)
    tokens = [2000 + 7 * each for each in range(rows)]
    started = time.perf_counter()
    context.compute(tokens)
    return (time.perf_counter() - started) * 1000


def measure(
    made: dict[str, LlamaContext], cells: int, rows: int, repetitions: int
) -> dict[str, float]:
    """Measure both arms in turns, after one turn that warms up."""
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(-1, repetitions):
        for arm in ARMS if turn % 2 else reversed(ARMS):
            taken = timed(made[arm], cells, rows)
            if turn >= 0:
                times[arm].append(taken)
    ours, theirs = ([[each] for each in times[arm]] for arm in ARMS)
    middle, low, high = ratio(ours, theirs)
    medians = {f"{arm} ms": statistics.median(times[arm]) for arm in ARMS}
    return {"cells": cells, "rows": rows} | medians | {"ratio": middle, "low": low, "high": high}


def report_line(row: dict[str, float]) -> str:
    """Return one measurement as a line for people."""
    return (
        f"{row['cells']:6} cells {row['rows']:4} rows   ours {row['ours ms']:9.1f} ms   "
        f"llama.cpp {row['llama.cpp ms']:9.1f} ms   "
        f"ratio {row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    )


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--cells", type=numbers, default=[500, 1500])
    parser.add_argument("--rows", type=numbers, default=[1, 15, 256])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=cpu().physical_cores)
    parser.add_argument("--kv-type", type=KVType, default=KVType.F16)
    parser.add_argument("--bits", type=int, choices=(256, 512), help="of the kernels' vectors")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    most_bits = attention.attention_vector_bits()
    if not most_bits or (given.bits or 0) > most_bits:
        raise SystemExit("there are no such kernels for this processor")
    bits = given.bits or most_bits
    attention.attention_vector_bits = lambda: bits
    model = LlamaModel(library(), read_header(given.model).parts, lambda _fraction: True)
    most = max(given.cells) + max(given.rows)
    title = f"{cpu().name}, {bits} bits, {given.threads} threads, " + (
        f"{given.model.name}, {given.kv_type.value}"
    )
    if not given.json:
        print(title, flush=True)
    rows: list[dict[str, Any]] = []
    threads = given.threads
    params = ContextParams(most + MICRO_BATCH, MICRO_BATCH, given.kv_type, 1, threads, threads)
    with contexts(model, params, "make_attention") as made:
        for cells in sorted(given.cells):
            for context in made.values():
                context.truncate(cells)
                fill(context, cells)
            for count in given.rows:
                rows.append(measure(made, cells, count, given.repetitions))
                if not given.json:
                    print(report_line(rows[-1]), flush=True)
    model.close()
    if given.json:
        print(json.dumps({"title": title, "rows": rows}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

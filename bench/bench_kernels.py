"""Measures one computation with our kernels beside llama.cpp's: attention, or few rows.

    python bench/bench_kernels.py MODEL [--cells 500,1500] [--rows 1,15,256]
        [--bits 256] [--kv-type q8_0]
    python bench/bench_kernels.py MODEL --few-rows [--rows 1,2,4,8,16] [--kernel AVX2]
    python bench/bench_kernels.py MODEL --chosen [--rows 1,2,4,8,16,256,512]
        [--llama-bench PROGRAM] [--kernel AVX2, with R1DESK_PROFILE an empty folder]
    python bench/bench_kernels.py MODEL --perplexity TEXT [--rows 8]

Two contexts of one model compute the same number of rows (tokens) behind the same number of cells,
in turns. 1 row is decode, 15 are a token and its drafts, 256 a piece of a prompt. With `--few-rows`
the weights are as they are in the file. Whether the results have the same bits is stated as well;
from eight rows on, llama.cpp's tiled kernel has others. The ratio is llama.cpp's time / ours.
With `--chosen`, ours is what the application does with this model on this computer, by the times of
the profile; llama.cpp stands beside it with the file's layout and with its own for this processor,
and another program of its command line, as ik_llama.cpp's, with weights repacked at the load.
Each row also has the least of each arm's times, which other programs disturb the least.
With `--perplexity`, a text is computed so many rows at a time with all of our kernels and with
llama.cpp's alone, and the second half of each 512 tokens is scored (20,000 of 40,000 tokens).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.runner import Report, argument_parser, in_turns, middle, ratio
from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.binding import context as context_module
from deepseek_r1.engine.llama.binding import kernel_measuring as measuring_module
from deepseek_r1.engine.llama.binding import kernels as kernels_module
from deepseek_r1.engine.llama.binding.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.native.native_library import MulMatKernel, native

MICRO_BATCH: Final = 256
FEW_CELLS: Final = 64  # for mul_mat, which does not depend on them
ARMS: Final = ("ours", "llama.cpp")
MOST_COMPUTED: Final = 40_000  # tokens of a text whose perplexity is compared
REPEATED: Final = 3  # in a turn of `--chosen`, of which the least counts


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
    context.truncate(min(cells, context.used))
    while (missing := cells - context.used) > 0:
        context.compute([1000 + each % 5000 for each in range(min(missing, MICRO_BATCH))])


def timed_ms(context: LlamaContext, cells: int, rows: int) -> float:
    """Return the milliseconds of one computation of some rows behind the first cells."""
    context.truncate(cells)
    tokens = [2000 + 7 * each for each in range(rows)]
    started = time.perf_counter()
    context.compute(tokens)
    return (time.perf_counter() - started) * 1000


def measure(
    report: Report,
    model: LlamaModel,
    made: dict[str, LlamaContext],
    cells: int,
    rows: int,
    repetitions: int,
) -> None:
    """Measure both arms in turns, and add the row to the report."""
    for context in made.values():
        fill(context, cells)
    runs = in_turns(ARMS, repetitions, lambda arm, _: timed_ms(made[arm], cells, rows))
    ours, theirs = (middle(runs[arm]) for arm in ARMS)
    found = ratio(runs["llama.cpp"], runs["ours"])
    bits = [last_logits(model, context, cells, rows) for context in made.values()]
    least = [min(chain.from_iterable(runs[arm])) for arm in ARMS]
    report.row(
        f"{cells:6} cells {rows:4} rows   ours {ours:9.1f} ms   llama.cpp {theirs:9.1f} ms   "
        f"ratio {found}   least {least[0]:.1f} / {least[1]:.1f}: {least[1] / least[0]:.2f}   "
        f"same bits: {bits[0] == bits[1]}",
        cells=cells, rows=rows, ours_ms=ours, theirs_ms=theirs, **found._asdict(),
        least_ms=least, same_bits=bits[0] == bits[1],
    )  # fmt: skip


def last_logits(model: LlamaModel, context: LlamaContext, cells: int, rows: int) -> bytes:
    """Return the bytes of the logits of the last of some rows behind the first cells."""
    timed_ms(context, cells, rows)
    found = library().api.llama_get_logits_ith(context.pointer, -1)
    return np.ctypeslib.as_array(found, (model.vocabulary,)).tobytes()


def measure_attention(given: argparse.Namespace) -> None:
    """Compare attention, with the vectors of our kernels as long as wanted."""
    most_bits = kernels_module.attention_vector_bits()
    if not most_bits or (given.bits or 0) > most_bits:
        raise SystemExit("there are no such kernels for this processor")
    bits = given.bits or most_bits
    kernels_module.attention_vector_bits = lambda: bits
    model = LlamaModel(library(), read_header(given.model).parts, lambda _fraction: True)
    cells = max(given.cells) + max(given.rows) + MICRO_BATCH
    threads = given.threads
    params = ContextParams(cells, MICRO_BATCH, given.kv_type, 1, threads, threads)
    report = Report(given, bits=bits, threads=threads, kv_type=given.kv_type.value)
    with contexts(model, params, "make_attention") as made:
        for count in sorted(given.cells):
            for rows in given.rows:
                measure(report, model, made, count, rows, given.repetitions)
    model.close()
    report.end()


def loaded(path: Path, *, repack: bool) -> LlamaModel:
    """Load a model into memory."""
    parts = read_header(path).parts
    return LlamaModel(library(), parts, lambda _fraction: True, repack=repack)


def chosen_kernel(given: argparse.Namespace) -> MulMatKernel:
    """Return the wanted kernel, which all contexts have from now on."""
    kernels = kernels_module.supported_kernels(library())
    kernel = given.kernel or next(iter(kernels), None)
    if kernel is None or kernel not in kernels:
        raise SystemExit("there are no such kernels for this processor")
    for module in (kernels_module, measuring_module):
        module.supported_kernels = lambda _library: [kernel]
    return kernel


def measure_chosen(given: argparse.Namespace) -> None:
    """Compare what the application does with both layouts of llama.cpp and another program."""
    header = read_header(given.model)
    kernel = chosen_kernel(given)
    times = measuring_module.measured_times(library(), header)
    models = {repack: loaded(given.model, repack=repack) for repack in (True, False)}
    repacks, rows_of = times.repacks(header), dict(times.rows(header))
    threads, most = given.threads, max(given.rows)
    batch = max(FEW_CELLS, most)
    params = ContextParams(FEW_CELLS + most, batch, KVType.F16, 1, threads, threads)
    made = {"ours": LlamaContext(library(), models[repacks], replace(params, kernel_rows=rows_of))}
    with mock.patch.multiple(context_module, make_mul_mat=absent, make_attention=absent):
        for repack, arm in ((False, "file"), (True, "repacked")):
            made[arm] = LlamaContext(library(), models[repack], params)
    arms = (*made, "other") if given.llama_bench else tuple(made)
    report = Report(
        given, kernel=kernel.name, threads=threads, repacks=repacks, kernel_rows=rows_of
    )
    for rows in given.rows:
        for context in made.values():
            fill(context, FEW_CELLS)

        def run(arm: str, _block: int, rows: int = rows) -> float:
            if arm == "other":
                return other_ms(given, rows)
            return min(timed_ms(made[arm], FEW_CELLS, rows) for _ in range(REPEATED))

        runs = in_turns(arms, given.repetitions, run)
        least = {arm: min(chain.from_iterable(each)) for arm, each in runs.items()}
        beside = {arm: ratio(runs[arm], runs["ours"]) for arm in arms[1:]}
        text = "   ".join(
            f"{arm} {middle(runs[arm]):.1f} ms: {found}, least {least[arm] / least['ours']:.2f}"
            for arm, found in beside.items()
        )
        report.row(
            f"{rows:4} rows   ours {middle(runs['ours']):.1f} ms   {text}",
            rows=rows, least_ms=least, ratios={arm: each._asdict() for arm, each in beside.items()},
        )  # fmt: skip
    report.end()


def absent(*_arguments: object) -> None:
    """Take the place of a maker of our kernels."""


def other_ms(given: argparse.Namespace, rows: int) -> float:
    """Return the milliseconds of so many rows by another program's `llama-bench`."""
    lengths = ["-p", "0", "-n", "24"] if rows == 1 else ["-p", str(rows), "-n", "0"]
    command = [given.llama_bench, "-m", given.model, *lengths, "-r", str(REPEATED)]
    options = ["-t", str(given.threads), "-ub", "512", "-rtr", "1", "-o", "json"]
    done = subprocess.run([*command, *options], capture_output=True, check=True)
    (found,) = json.loads(done.stdout)
    return min(found["samples_ns"]) / 1e6 / (24 if rows == 1 else 1)


def measure_perplexity(given: argparse.Namespace) -> None:
    """Compare the perplexity of a text with our kernels and without them."""
    rows, window, threads = given.rows[0], 512, given.threads
    model = loaded(given.model, repack=False)
    params = ContextParams(window, rows, KVType.F16, 1, threads, threads, draft_tokens=rows - 1)
    ours = LlamaContext(library(), model, params)
    native().mul_mat_set_rows(ours._mul_mat.user_data, 1, rows)
    with mock.patch.multiple(context_module, make_mul_mat=absent, make_attention=absent):
        made = {"ours": ours, "llama.cpp": LlamaContext(library(), model, params)}
    text = given.perplexity.read_text(encoding="utf-8")
    tokens = model.tokenize(text, special=False)[:MOST_COMPUTED]
    report = Report(given, threads=threads, rows=rows, tokens=len(tokens))
    losses: dict[str, list[float]] = {arm: [] for arm in made}
    for start in range(0, len(tokens) - window, window):
        for arm, context in made.items():
            losses[arm] += window_losses(model, context, tokens[start : start + window], rows)
    found = {arm: float(np.exp(np.mean(each))) for arm, each in losses.items()}
    apart = found["ours"] / found["llama.cpp"] - 1
    scored = len(losses["ours"])
    report.row(
        f"{scored} tokens scored   ours {found['ours']:.4f}   llama.cpp {found['llama.cpp']:.4f}   "
        f"apart {100 * apart:+.4f} %",
        scored=scored, perplexities=found, apart=apart,
    )  # fmt: skip
    report.end()


def window_losses(
    model: LlamaModel, context: LlamaContext, tokens: list[int], rows: int
) -> list[float]:
    """Return the losses in nats of the tokens of a window's second half."""
    context.clear()
    losses = []
    for start in range(0, len(tokens), rows):
        piece = tokens[start : start + rows]
        context.compute_with_drafts(piece)
        if start < len(tokens) // 2:
            continue
        found = library().api.llama_get_logits_ith(context.pointer, 0)
        logits = np.ctypeslib.as_array(found, (len(piece), model.vocabulary)).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        following = tokens[start + 1 : start + 1 + len(piece)]
        losses += [-float(logits[n, token]) for n, token in enumerate(following)]
    return losses


def measure_mul_mat(given: argparse.Namespace) -> None:
    """Compare the multiplication for few rows, with one of our kernels for all numbers of rows."""
    kernel = chosen_kernel(given)
    model = loaded(given.model, repack=False)
    most, threads = max(given.rows), given.threads
    batch = max(FEW_CELLS, most)
    params = ContextParams(4 * FEW_CELLS + most, batch, KVType.F16, 1, threads, threads)
    report = Report(given, kernel=kernel.name, threads=threads)
    with contexts(model, params, "make_mul_mat") as made:
        # Ours compute all these numbers of rows, whether they are faster or not.
        native().mul_mat_set_rows(made["ours"]._mul_mat.user_data, 1, most)
        for rows in given.rows:
            measure(report, model, made, FEW_CELLS, rows, given.repetitions)
    model.close()
    report.end()


def numbers(text: str) -> list[int]:
    """Read numbers between commas."""
    return [int(each) for each in text.split(",")]


def main() -> None:
    parser = argument_parser(__doc__, needs_model=True)
    parser.add_argument("--few-rows", action="store_true", help="the multiplication for few rows")
    parser.add_argument("--chosen", action="store_true", help="what the application does")
    parser.add_argument("--perplexity", type=Path, metavar="TEXT", help="of a text")
    parser.add_argument("--llama-bench", type=Path, help="another program beside it")
    parser.add_argument("--cells", type=numbers, default=[500, 1500], help="of attention")
    parser.add_argument("--rows", type=numbers)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cpu().physical_cores)
    parser.add_argument("--kv-type", type=KVType, default=KVType.F16)
    parser.add_argument("--bits", type=int, choices=(256, 512), help="of attention's vectors")
    parser.add_argument("--kernel", type=MulMatKernel.__getitem__, help="AVX2, AVX_VNNI, ...")
    given = parser.parse_args()
    products = given.few_rows or given.chosen
    if given.perplexity:
        given.rows = given.rows or [8]
        measure_perplexity(given)
        return
    given.rows = given.rows or ([1, 2, 4, 7, 8, 16] if products else [1, 15, 256])
    if given.chosen:
        measure_chosen(given)
    else:
        (measure_mul_mat if products else measure_attention)(given)


if __name__ == "__main__":
    main()

"""Measures one computation with our multiplication for few rows beside llama.cpp's.

    python tests/benchmarks/bench_mul_mat.py MODEL [--rows 1,2,4,8,16] [--kernel AVX2]

Two contexts of one model, whose weights are as they are in the file, compute the same number of
rows (tokens) behind a few cells, in turns; which one begins changes each time. Whether the results
have the same bits is stated as well; from eight rows on, llama.cpp's tiled kernel has others. The
ratio is llama.cpp's time / ours, its interval a bootstrap over the repetitions (95 %).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "app"), str(HERE.parents[1])]

from benchmarks.bench_attention import ARMS, contexts, fill, measure, numbers, report_line
from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama import mul_mat
from deepseek_r1.engine.llama.context import ContextParams, LlamaContext
from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.native.native_library import MulMatKernel, native

CELLS: Final = 64


def logits(context: LlamaContext, vocabulary: int, rows: int) -> np.ndarray:
    """Return the logits of the last of some rows behind the first cells."""
    context.truncate(CELLS)
    context.compute([2000 + 7 * each for each in range(rows)])
    found = library().api.llama_get_logits_ith(context.pointer, -1)
    return np.array(np.ctypeslib.as_array(found, (vocabulary,)))


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=numbers, default=[1, 2, 4, 7, 8, 16])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--threads", type=int, default=cpu().physical_cores)
    parser.add_argument("--kernel", type=MulMatKernel.__getitem__, help="AVX2, AVX_VNNI, ...")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    kernels = mul_mat.supported_kernels(library())
    if not kernels or (given.kernel or kernels[0]) not in kernels:
        raise SystemExit("there are no such kernels for this processor")
    kernel = given.kernel or kernels[0]
    mul_mat.supported_kernels = lambda _library: [kernel]
    parts = read_header(given.model).parts
    model = LlamaModel(library(), parts, lambda _fraction: True, repack=False)
    title = f"{cpu().name}, {kernel.name}, {given.threads} threads, {given.model.name}"
    if not given.json:
        print(title, flush=True)
    rows: list[dict[str, Any]] = []
    most, threads = max(given.rows), given.threads
    params = ContextParams(4 * CELLS + most, max(CELLS, most), KVType.F16, 1, threads, threads)
    with contexts(model, params, "make_mul_mat") as made:
        # Ours compute all these numbers of rows, whether they are faster or not.
        native().mul_mat_set_rows(made["ours"]._mul_mat.user_data, 1, most)
        for context in made.values():
            fill(context, CELLS)
        for count in given.rows:
            row: dict[str, Any] = measure(made, CELLS, count, given.repetitions)
            ours, theirs = (logits(made[arm], model.vocabulary, count) for arm in ARMS)
            row["same bits"] = bool(np.array_equal(ours, theirs))
            rows.append(row)
            if not given.json:
                print(report_line(row) + f"   same bits: {row['same bits']}", flush=True)
    model.close()
    if given.json:
        print(json.dumps({"title": title, "rows": rows}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Computes the importance matrix: each column's mean squared activation on a calibration text.

The mean square of a column's input weights the error of that column. Quantisation
(`ConversionRequest.importance`) and pruning use it.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.engine.llama.binding.evaluate import ActivationObserver
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.lab.quality_load import load, piece_within, read_text, windows
from deepseek_r1.lab.quality_run import WINDOW, Collect, Collected, OnProgress, run_request

Floats = npt.NDArray[np.float32]
MOST_TOKENS: Final = 16_384  # more text changes the means by less than one percent
_TURNS: Final = "turns"  # the name beside those of the matrices


@dataclass(frozen=True, slots=True)
class Activations:
    """The activations of a text in a model.

    `squares` has the mean square of each column's input by the matrix's name, shape (columns,) or
    (experts, columns). `turns` has, for each block, 1 - cosine between the residual stream before
    and after it, NaN if it was not observed; near 0, the block changes nothing.
    """

    squares: dict[str, Floats]
    turns: Floats


def activations(
    model: Path,
    text: Path,
    *,
    memory_budget_mib: int,
    threads: int = 0,
    most_tokens: int = MOST_TOKENS,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Activations:
    """Collect in a child process. The squares serve as `ConversionRequest.importance`.

    Raises `MeasuringRefused` for the text, `ModelRefused` for the model, `EngineFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="r1desk-importance-") as folder:
        request = Collect(
            model=model.resolve(),
            text=text.resolve(),
            found=Path(folder) / "found.npz",
            most_tokens=most_tokens,
            memory_budget_mib=memory_budget_mib,
            threads=threads,
        )
        run_request(request, on_progress)
        with np.load(request.found, allow_pickle=False) as file:
            found = dict(file)
    return Activations(turns=found.pop(_TURNS), squares=found)


# ---- inside the process that computes ------------------------------------------------------------


def collect(request: Collect, on_progress: OnProgress) -> Collected:
    """Evaluate the text and write the activations into the request's file."""
    header = read_header(request.model)
    text = read_text(request.text)
    sums = _Sums(header)
    columns = {name: squares.shape[1] for name, squares in sums.squares.items()}
    sums_mib = sum(each.nbytes for each in sums.squares.values()) / (1 << 20)
    piece = piece_within(header, WINDOW, request.memory_budget_mib, sums_mib)
    watcher = ActivationObserver(columns, sums.on_input, sums.on_block)
    with load(header, WINDOW, piece, request.threads, watcher.address) as evaluator:
        most = max(1, request.most_tokens // WINDOW)
        cut = windows(evaluator, text, WINDOW, most)
        for done, window in enumerate(cut):
            on_progress(done, len(cut))
            evaluator.begin()
            for at in range(0, len(window), piece):
                evaluator.compute(window[at : at + piece])
                if watcher.failure is not None:
                    raise EngineFailed(detail=str(watcher.failure)) from watcher.failure
    sums.write(request.found)
    return Collected()


class _Sums:
    """The sums over a text: for each matrix by expert (one without a mixture), for each block."""

    def __init__(self, header: ModelHeader) -> None:
        self.squares: dict[str, npt.NDArray[np.float64]] = {}  # (experts, columns)
        self._rows: dict[str, npt.NDArray[np.int64]] = {}  # (experts,)
        for each in header.tensors:
            if len(each.shape) > 1 and each.name.endswith(".weight"):
                experts = each.shape[2] if len(each.shape) > 2 else 1
                self.squares[each.name] = np.zeros((experts, each.shape[0]))
                self._rows[each.name] = np.zeros(experts, np.int64)
        self._cosines = np.zeros(header.blocks)
        self._seen = np.zeros(header.blocks, np.int64)
        self._before: tuple[int, Floats] | None = None

    def on_input(self, name: str, rows: Floats, expert: int) -> None:
        self.squares[name][expert] += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        self._rows[name][expert] += len(rows)

    def on_block(self, block: int, rows: Floats) -> None:
        """Compare the residual stream after a block with the one before it."""
        before, self._before = self._before, (block, rows.copy())
        if before is None or before[0] != block - 1 or before[1].shape != rows.shape:
            return
        dots = np.einsum("ij,ij->i", before[1], rows, dtype=np.float64)
        lengths = np.linalg.norm(before[1], axis=1) * np.linalg.norm(rows, axis=1)
        self._cosines[block] += float((dots / np.maximum(lengths, 1e-12)).sum())
        self._seen[block] += len(rows)

    def write(self, path: Path) -> None:
        """Write the means. Matrices that multiplied nothing are left out."""
        means: dict[str, Any] = {}
        for name, rows in self._rows.items():
            if rows.any():
                mean = self.squares[name] / np.maximum(rows, 1)[:, None]
                mean[rows == 0] = mean[rows > 0].mean(axis=0)  # an unused expert
                means[name] = (mean[0] if len(mean) == 1 else mean).astype(np.float32)
        with np.errstate(invalid="ignore"):
            means[_TURNS] = (1.0 - self._cosines / self._seen).astype(np.float32)
        np.savez(path, **means)

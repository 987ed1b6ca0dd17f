"""Computes the importance matrix: each column's mean squared activation on a calibration text.

The mean square of a column's input weights the error of that column. Quantisation
(`ConversionRequest.importance`) and pruning use it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.engine.llama.binding.evaluate import ActivationObserver
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.lab.quality_load import load, piece_within, read_text, windows
from deepseek_r1.lab.quality_messages import Collect, Collected
from deepseek_r1.lab.quality_run import OnProgress, run_request
from deepseek_r1.memory.meter import peak_mib

Floats = npt.NDArray[np.float32]
WINDOW: Final = 512
MOST_TOKENS: Final = 16_384  # more text changes the means by less than one percent
_SQUARES, _BLOCKS = "squares.npz", "blocks.npy"


@dataclass(frozen=True, slots=True)
class Activations:
    """The activations of a text in a model, over `tokens` tokens.

    `squares` has the mean square of each column's input by the matrix's name, shape (columns,) or
    (experts, columns). `turns` has, for each block, 1 - cosine between the residual stream before
    and after it, NaN if it was not observed; near 0, the block changes nothing.
    """

    squares: dict[str, Floats]
    turns: Floats
    tokens: int


def collect_importance(
    model: Path,
    text: Path,
    *,
    memory_budget_mib: int,
    threads: int = 0,
    on_progress: OnProgress = lambda _done, _total: None,
) -> dict[str, Floats]:
    """Returns the mean squared activations of every matrix, for `ConversionRequest.importance`.

    Raises `MeasuringRefused` for the text, `ModelRefused` for the model, `EngineFailed`.
    """
    with tempfile.TemporaryDirectory(prefix="r1desk-importance-") as folder:
        request = Collect(
            model=model.resolve(),
            text=text.resolve(),
            folder=Path(folder),
            window=WINDOW,
            most_tokens=MOST_TOKENS,
            memory_budget_mib=memory_budget_mib,
            threads=threads,
        )
        return activations(request, on_progress).squares


def activations(request: Collect, on_progress: OnProgress) -> Activations:
    """Collect in a child process, and read its results from the request's folder."""
    tokens = run_request(request, on_progress).tokens
    with np.load(request.folder / _SQUARES, allow_pickle=False) as file:
        squares = {name: file[name] for name in file.files}
    return Activations(
        squares=squares,
        turns=np.load(request.folder / _BLOCKS, allow_pickle=False),
        tokens=tokens,
    )


# ---- inside the process that computes ------------------------------------------------------------


def collect(request: Collect, on_progress: OnProgress) -> Collected:
    """Evaluate the text and write the activations into the request's folder."""
    header = read_header(request.model)
    text = read_text(request.text)
    watched = {
        each.name: each.shape[0]
        for each in header.tensors
        if len(each.shape) > 1 and each.name.endswith(".weight")
    }
    sums = _Sums(header)
    piece = piece_within(header, request.window, request.memory_budget_mib, sums.nbytes / (1 << 20))
    watcher = ActivationObserver(watched, sums.on_input, sums.on_block)
    tokens = 0
    with load(header, request.window, piece, request.threads, watcher.address) as evaluator:
        most = max(1, request.most_tokens // request.window)
        cut = windows(evaluator, text, request.window, most)
        for done, window in enumerate(cut):
            on_progress(done, len(cut))
            evaluator.begin()
            for at in range(0, len(window), piece):
                evaluator.compute(window[at : at + piece])
                if watcher.failure is not None:
                    raise EngineFailed(detail=str(watcher.failure)) from watcher.failure
            tokens += len(window)
    sums.write(request.folder)
    return Collected(tokens=tokens, peak_mib=peak_mib())


@dataclass(slots=True)
class _Column:
    """The sums over the input rows of one matrix, or of one matrix of each expert."""

    squares: npt.NDArray[np.float64]  # (experts or 1, columns)
    rows: npt.NDArray[np.int64]  # (experts or 1,)


@dataclass(slots=True)
class _Sums:
    """All sums of a collection."""

    header: ModelHeader
    matrices: dict[str, _Column] = field(default_factory=dict)
    cosines: npt.NDArray[np.float64] = field(init=False)
    seen: npt.NDArray[np.int64] = field(init=False)
    before: tuple[int, Floats] | None = None

    def __post_init__(self) -> None:
        self.cosines = np.zeros(self.header.blocks)
        self.seen = np.zeros(self.header.blocks, np.int64)
        for each in self.header.tensors:
            if len(each.shape) > 1 and each.name.endswith(".weight"):
                experts = each.shape[2] if len(each.shape) > 2 else 1
                self.matrices[each.name] = _Column(
                    np.zeros((experts, each.shape[0])), np.zeros(experts, np.int64)
                )

    @property
    def nbytes(self) -> int:
        """The memory of the sums in bytes."""
        return sum(each.squares.nbytes for each in self.matrices.values())

    def on_input(self, name: str, rows: Floats, expert: int) -> None:
        """Add the input rows of a matrix."""
        found = self.matrices[name]
        found.squares[expert] += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        found.rows[expert] += len(rows)

    def on_block(self, block: int, rows: Floats) -> None:
        """Compare the residual stream after a block with the one before it."""
        before, self.before = self.before, (block, rows.copy())
        if before is None or before[0] != block - 1 or before[1].shape != rows.shape:
            return
        dots = np.einsum("ij,ij->i", before[1], rows, dtype=np.float64)
        lengths = np.linalg.norm(before[1], axis=1) * np.linalg.norm(rows, axis=1)
        self.cosines[block] += float((dots / np.maximum(lengths, 1e-12)).sum())
        self.seen[block] += len(rows)

    def write(self, folder: Path) -> None:
        """Write means. Leaves out matrices without input rows."""
        means: dict[str, Any] = {}
        for name, found in self.matrices.items():
            if found.rows.sum():
                mean = found.squares / np.maximum(found.rows, 1)[:, None]
                mean[found.rows == 0] = mean[found.rows > 0].mean(axis=0)  # an unused expert
                shape = mean.shape[1:] if len(mean) == 1 else mean.shape
                means[name] = mean.astype(np.float32).reshape(shape)
        np.savez(folder / _SQUARES, **means)
        with np.errstate(invalid="ignore"):
            turns = (1.0 - self.cosines / self.seen).astype(np.float32)
        np.save(folder / _BLOCKS, turns)

"""The columns that stay, fitted by least squares to what all columns gave.

W' = W C[:, S] (C[S, S] + l I)^-1 with C = X^T X of the calibration activations X: the fitted
product is nearest to the whole one on them. Everything large is made in blocks of rows, and
`fit_mib` says beforehand what the largest moment takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.tensors import Floats, SourceTensor

_DAMPING: Final = 0.01  # of the mean diagonal; keeps the fit from following noise
_BLOCK_BYTES: Final = 8 << 20  # of a block of rows; a few of them are in memory at a time
_MIB: Final = 1 << 20


def fit_mib(channels: int, kept: int, outputs: int) -> float:
    """The most memory that fitting a matrix takes, with the fitted matrix."""
    gram, inner, right = 4 * channels**2, 8 * kept**2, 8 * kept * outputs
    summing = gram + inner + right
    solving = 2 * inner + 3 * right  # LAPACK works on copies
    blocks = 4 * max(_BLOCK_BYTES, 4 * channels) + 4 * kept * outputs
    return (max(summing, solving) + blocks) / _MIB


def fitted_columns(down: SourceTensor, inputs: Path, chosen: npt.NDArray[np.int64]) -> Floats:
    """`down` with the chosen columns only, fitted to the activations in the file `inputs`.

    `inputs` holds rows of float32, one for each token.
    """
    gram = gram_of(inputs, down.columns)
    right = np.empty((len(chosen), down.rows), np.float64)
    for first, last in blocks_of_rows(down):
        right[:, first:last] = _products(gram, chosen, down.read_rows(first, last))
    inner = _inner(gram, chosen)
    del gram
    return _solved(inner, right)


def gram_of(inputs: Path, channels: int) -> Floats:
    """X^T X of the rows in a file of float32, shape (channels, channels)."""
    gram = np.zeros((channels, channels), np.float32)
    step = _rows_in_block(channels)
    with inputs.open("rb") as file:
        while (rows := np.fromfile(file, np.float32, step * channels)).size:
            piece = rows.reshape(-1, channels)
            for first in range(0, channels, step):
                gram[first : first + step] += piece[:, first : first + step].T @ piece
    return gram


def blocks_of_rows(tensor: SourceTensor) -> Iterator[tuple[int, int]]:
    """First row and end of pieces that are a few MiB as float32."""
    step = _rows_in_block(tensor.columns)
    for first in range(0, tensor.rows, step):
        yield first, min(first + step, tensor.rows)


def _rows_in_block(columns: int) -> int:
    return max(1, _BLOCK_BYTES // (4 * columns))


def _products(gram: Floats, chosen: npt.NDArray[np.int64], rows: Floats) -> Floats:
    """C[S] W^T of some rows of W. C is symmetric, so all of C W^T is made and rows of it taken."""
    products: Floats = (gram @ rows.T)[chosen]
    return products


def _inner(gram: Floats, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """C[S, S] + l I."""
    inner = np.empty((len(chosen), len(chosen)), np.float64)
    for row, channel in enumerate(chosen):
        inner[row] = gram[channel, chosen]
    inner[np.diag_indices_from(inner)] += _DAMPING * np.diag(inner).mean()
    return inner


def _solved(inner: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> Floats:
    rows: Floats = np.ascontiguousarray(np.linalg.solve(inner, right).T, np.float32)
    return rows

"""Fits the remaining columns by least squares to the product of all columns.

W' = W C[:, S] (C[S, S] + l I)^-1 with C = X^T X of the calibration activations X, which minimises
the error of the product on them. Large arrays are computed in blocks of rows; `fit_mib` returns
the peak memory in advance.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.source_tensors import Floats, SourceTensor

_DAMPING: Final = 0.01  # of the mean diagonal; keeps the fit from overfitting
_BLOCK_BYTES: Final = 8 << 20  # per block of rows; a few are in memory at a time
_MIB: Final = 1 << 20


def fit_mib(channels: int, kept: int, outputs: int) -> float:
    """Returns the peak memory of fitting a matrix, including the fitted matrix."""
    gram, inner, right = 4 * channels**2, 8 * kept**2, 8 * kept * outputs
    summing = gram + inner + right
    solving = 2 * inner + 3 * right  # LAPACK works on copies
    blocks = 4 * max(_BLOCK_BYTES, 4 * channels) + 4 * kept * outputs
    return (max(summing, solving) + blocks) / _MIB


def fitted_columns(down: SourceTensor, inputs: Path, chosen: npt.NDArray[np.int64]) -> Floats:
    """Returns the chosen columns of `down`, fitted to the activations in the file `inputs`.

    `inputs` holds one row of float32 for each token.
    """
    gram = gram_of(inputs, down.columns)
    right = np.empty((len(chosen), down.rows), np.float64)
    for first, last in blocks_of_rows(down):
        right[:, first:last] = _products(gram, chosen, down.read_rows(first, last))
    inner = _inner(gram, chosen)
    del gram
    return _solved(inner, right)


def gram_of(inputs: Path, channels: int) -> Floats:
    """Returns X^T X of the rows in a file of float32, shape (channels, channels)."""
    gram = np.zeros((channels, channels), np.float32)
    step = _rows_in_block(channels)
    with inputs.open("rb") as file:
        while (rows := np.fromfile(file, np.float32, step * channels)).size:
            piece = rows.reshape(-1, channels)
            for first in range(0, channels, step):
                gram[first : first + step] += piece[:, first : first + step].T @ piece
    return gram


def blocks_of_rows(tensor: SourceTensor) -> Iterator[tuple[int, int]]:
    """Yields the first row and the end of blocks that are a few MiB as float32."""
    step = _rows_in_block(tensor.columns)
    for first in range(0, tensor.rows, step):
        yield first, min(first + step, tensor.rows)


def _rows_in_block(columns: int) -> int:
    return max(1, _BLOCK_BYTES // (4 * columns))


def _products(gram: Floats, chosen: npt.NDArray[np.int64], rows: Floats) -> Floats:
    """Returns C[S] W^T for some rows of W. C is symmetric, so rows of C W^T are selected."""
    products: Floats = (gram @ rows.T)[chosen]
    return products


def _inner(gram: Floats, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns C[S, S] + l I."""
    inner = np.empty((len(chosen), len(chosen)), np.float64)
    for row, channel in enumerate(chosen):
        inner[row] = gram[channel, chosen]
    inner[np.diag_indices_from(inner)] += _DAMPING * np.diag(inner).mean()
    return inner


def _solved(inner: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> Floats:
    rows: Floats = np.ascontiguousarray(np.linalg.solve(inner, right).T, np.float32)
    return rows

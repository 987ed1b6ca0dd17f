"""The description of a source model, and readers of its tensors, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.key_values import KeyValue
from deepseek_r1.formats.ggml_types import TensorType

Floats = npt.NDArray[np.float32]
ReadRows = Callable[[int, int], Floats]
ReadPacked = Callable[[int, int], bytes | bytearray]


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor under its GGUF name.

    `shape` has the row's length first, as in GGUF. `read_rows(first, last)` returns rows as float32
    (rows, columns); both ends must be multiples of `granule`, because rows may be permuted.
    `read_packed` returns the same rows in their stored type; it is None if ggml does not have it.
    """

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    read_rows: ReadRows
    granule: int = 1
    read_packed: ReadPacked | None = None

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.shape[0]

    @property
    def rows(self) -> int:
        """The product of all other dimensions."""
        return prod(self.shape[1:])

    @property
    def elements(self) -> int:
        """The number of elements."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model to convert: its keys, its tensors in order, and its files."""

    path: Path
    architecture: str
    blocks: int
    keys: tuple[KeyValue, ...]
    tensors: tuple[SourceTensor, ...]
    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()  # shown to the user after the conversion

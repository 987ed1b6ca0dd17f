"""What a source says about itself, and how its numbers are had, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.key_values import KeyValue
from deepseek_r1.formats.ggml_types import F32, TensorType

Floats = npt.NDArray[np.float32]
ReadRows = Callable[[int, int], Floats]
ReadPacked = Callable[[int, int], bytes | bytearray]


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """One tensor as the GGUF will name it.

    `shape` has the row's length first, as GGUF writes it. `read_rows(first, last)` gives rows as
    float32 (rows, columns); both ends must be multiples of `granule`, because rows may be stored
    in another order. `read_packed` gives the same rows in the type they are stored in, or is None
    where they are not stored like that.
    """

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    read_rows: ReadRows
    granule: int = 1
    read_packed: ReadPacked | None = None

    @property
    def columns(self) -> int:
        """Numbers in a row."""
        return self.shape[0]

    @property
    def rows(self) -> int:
        """How many rows there are, all other dimensions taken together."""
        total = 1
        for each in self.shape[1:]:
            total *= each
        return total

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class Source:
    """A model to convert: its keys, its tensors in their order, and the files they come from."""

    path: Path
    architecture: str
    blocks: int
    keys: tuple[KeyValue, ...]
    tensors: tuple[SourceTensor, ...]
    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()  # what a reader of the result should know


def constant(name: str, values: Floats) -> SourceTensor:
    """A vector that is computed, not read."""
    row = values.reshape(1, -1)
    return SourceTensor(name, (row.size,), F32, lambda _first, _last: row)

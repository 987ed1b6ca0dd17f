"""Gives access to the weights of a Hugging Face folder by name and expected shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown, TensorMissing
from deepseek_r1.convert.hf.tensor_files import ITEM_BYTES, StoredTensor, read_bytes
from deepseek_r1.convert.source_tensors import Floats, ReadPacked, ReadRows, SourceTensor
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.ggml_types import TYPES_BY_NAME, TensorType

SCALE_BLOCK = 128  # DeepSeek's 8-bit weights have one scale for 128 x 128 numbers
_EIGHT_BITS = ("F8_E4M3", "F8_E5M2")
_GGML = {"F32": "F32", "F16": "F16", "BF16": "BF16"}  # the same bytes in both formats


@dataclass(slots=True)
class Weights:
    """All tensors of the folder, with a record of which were used."""

    stored: Mapping[str, StoredTensor]
    used: set[str]

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def take(self, name: str, *shape: int) -> StoredTensor:
        """Returns the tensor `name` of numpy shape `shape`. Raises TensorMissing."""
        found = self.stored.get(name)
        if found is None:
            raise TensorMissing(name=name, detail=tr("It is not in any of the files."))
        if found.shape != shape:
            wanted, is_ = " x ".join(map(str, shape)), " x ".join(map(str, found.shape))
            raise TensorMissing(
                name=name, detail=tr("It should be {a} and is {b}.", a=wanted, b=is_)
            )
        if found.dtype not in ITEM_BYTES:
            detail = tr("The weight {name} is stored as {kind}.", name=name, kind=found.dtype)
            raise FeatureUnknown(detail=detail)
        self.used.add(name)
        return found

    def scales(self, of: StoredTensor) -> StoredTensor | None:
        """Returns the scales of an 8-bit matrix, one for each block of 128 x 128; else None."""
        if of.dtype not in _EIGHT_BITS:
            return None
        high, wide = (-(-size // SCALE_BLOCK) for size in (of.rows, of.columns))
        return self.take(f"{of.name}_scale_inv", high, wide)

    def plain(self, target: str, name: str, *shape: int) -> SourceTensor:
        """Returns the tensor `name` under the name `target`, with its rows in order."""
        stored = self.take(name, *shape)
        scales = self.scales(stored)
        return SourceTensor(
            name=target,
            shape=tuple(reversed(shape)),
            kind=kind_of(stored),
            granule=1,
            read_rows=scaled(stored, scales),
            read_packed=None if scales is not None else packed(stored),
        )

    def stacked(self, target: str, names: list[str], *shape: int) -> SourceTensor:
        """Returns matrices of one `shape` stacked: the experts of a mixture."""
        parts = [self.take(name, *shape) for name in names]
        readers = [scaled(part, self.scales(part)) for part in parts]
        rows = shape[0]

        def read_rows(first: int, last: int) -> Floats:
            pieces = [
                readers[n](max(first - n * rows, 0), min(last - n * rows, rows))
                for n in range(first // rows, -(-last // rows))
            ]
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

        return SourceTensor(
            name=target,
            shape=(*reversed(shape), len(parts)),
            kind=kind_of(parts[0]),
            read_rows=read_rows,
        )

    def leftover(self) -> list[str]:
        """Returns the names of unused tensors."""
        return sorted(set(self.stored) - self.used)


def kind_of(stored: StoredTensor) -> TensorType:
    """Returns the ggml type that holds the numbers of `stored` without loss."""
    return TYPES_BY_NAME[_GGML.get(stored.dtype, "F32")]


def packed(stored: StoredTensor) -> ReadPacked | None:
    """Returns a reader of the stored rows if ggml uses the same bytes, else None."""
    if stored.dtype not in _GGML:
        return None
    row_bytes = stored.columns * ITEM_BYTES[stored.dtype]

    def read_packed(first: int, last: int) -> bytearray:
        start = stored.offset + first * row_bytes
        return read_bytes(stored.path, start, (last - first) * row_bytes)

    return read_packed


def scaled(stored: StoredTensor, scales: StoredTensor | None) -> ReadRows:
    """Returns a reader of rows as float32, multiplied by their scales if there are any."""
    if scales is None:
        return stored.read_rows

    def read_rows(first: int, last: int) -> Floats:
        rows = stored.read_rows(first, last)
        top = first // SCALE_BLOCK
        few = scales.read_rows(top, -(-last // SCALE_BLOCK))
        wide = np.repeat(few, SCALE_BLOCK, axis=1)[:, : stored.columns]
        for number, factors in enumerate(wide, top):
            start, end = number * SCALE_BLOCK - first, (number + 1) * SCALE_BLOCK - first
            rows[max(start, 0) : end] *= factors
        return rows

    return read_rows

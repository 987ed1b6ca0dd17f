"""Reads safetensors files: the header strictly, the numbers a few rows at a time.

Source of the format: huggingface/safetensors, README "Format". A file is 8 bytes of length, a JSON
header, and the tensors' bytes without gap or overlap; it contains no code.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown, SourceChanged, SourceDamaged, TensorMissing
from deepseek_r1.convert.hf.config import Json, parse_object
from deepseek_r1.convert.model_source import Floats, ReadRows, SourceTensor
from deepseek_r1.core.errors import ModelFileUnreadable
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.ggml_types import TYPES_BY_NAME, TensorType

MAX_HEADER_BYTES: Final = 100_000_000  # the format's own limit
MAX_TENSORS: Final = 200_000
MAX_DIMENSIONS: Final = 8
SCALE_BLOCK: Final = 128  # DeepSeek's 8-bit weights have one scale for 128 x 128 numbers

ITEM_BYTES: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_ALL_BYTES: Final = ITEM_BYTES | {  # with types that no weight has
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
}  # fmt: skip
_EIGHT_BITS: Final = ("F8_E4M3", "F8_E5M2")
_SAME_BYTES: Final = ("F32", "F16", "BF16")  # in ggml


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file. `shape` is numpy's, `offset` counts from the file's first byte."""

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    @property
    def columns(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def kind(self) -> TensorType:
        """The ggml type that holds the numbers without loss."""
        return TYPES_BY_NAME[self.dtype if self.dtype in _SAME_BYTES else "F32"]

    def read_packed(self, first: int, last: int) -> bytearray:
        """Returns the bytes of rows `first` to `last`, exclusive."""
        row_bytes = self.columns * ITEM_BYTES[self.dtype]
        return read_bytes(self.path, self.offset + first * row_bytes, (last - first) * row_bytes)

    def read_rows(self, first: int, last: int) -> Floats:
        """Returns rows `first` to `last`, exclusive, as float32 of shape (rows, columns)."""
        rows = as_float32(self.read_packed(first, last), self.dtype)
        return rows.reshape(last - first, self.columns)


def read_tensor_table(path: Path) -> list[StoredTensor]:
    """Returns the tensors in the file at `path`, by offset.

    Raises SourceDamaged if header, shapes and byte ranges are inconsistent, ModelFileUnreadable.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelFileUnreadable(path=str(path), detail=error.strerror or str(error)) from error
    length = int.from_bytes(read_bytes(path, 0, 8), "little") if size >= 8 else 0
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise _damaged(path, tr("its header has {size} bytes", size=length))
    header = parse_object(read_bytes(path, 8, length), path)
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise _damaged(path, tr("it claims {count} tensors", count=len(header)))
    start = 8 + length
    tensors = [_tensor(path, name, entry, start, size) for name, entry in header.items()]
    tensors.sort(key=lambda each: (each.offset, each.nbytes))
    end = start
    for each in tensors:
        if each.offset != end:
            raise _damaged(path, tr("the tensor {name} is at the wrong offset", name=each.name))
        end += each.nbytes
    if end != size:
        raise _damaged(path, tr("it should have {a} bytes and has {b}", a=end, b=size))
    return tensors


def _tensor(path: Path, name: str, entry: object, start: int, size: int) -> StoredTensor:
    wrong = _damaged(path, tr("the tensor {name} has an impossible shape", name=name[:80]))
    if not isinstance(entry, dict) or not name or not name.isprintable():
        raise wrong
    dtype, shape = str(entry.get("dtype")), _whole_numbers(entry, "shape")
    ends = _whole_numbers(entry, "data_offsets")
    if shape is None or ends is None or len(ends) != 2 or len(shape) > MAX_DIMENSIONS:
        raise wrong
    if dtype not in _ALL_BYTES:
        detail = tr("the tensor {name} has the unknown type {n}", name=name[:80], n=dtype[:20])
        raise _damaged(path, detail)
    nbytes = _ALL_BYTES[dtype] * prod(shape)
    if ends[1] - ends[0] != nbytes or start + ends[1] > size:
        raise wrong
    return StoredTensor(name, path, dtype, tuple(shape), start + ends[0], nbytes)


def _whole_numbers(entry: Json, key: str) -> list[int] | None:
    value = entry.get(key)
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        return None
    return value


def read_bytes(path: Path, offset: int, count: int) -> bytearray:
    """Returns `count` bytes of the file. Raises SourceChanged if it has become shorter."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            raw = bytearray(count)
            done = 0
            while done < count:
                got = file.readinto(memoryview(raw)[done:])
                if not got:
                    raise SourceChanged(path=str(path))
                done += got
            if hasattr(os, "posix_fadvise"):  # read once: free the page cache
                os.posix_fadvise(file.fileno(), offset, count, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise ModelFileUnreadable(path=str(path), detail=error.strerror or str(error)) from error
    return raw


_CODES: Final = np.arange(256, dtype=np.uint16)
# All values of the 8-bit floats, from the float16 of the same exponent and fraction. The exponents
# of E4M3 have another bias. It has no infinity; its highest value is NaN.
# Source: Micikevicius et al., "FP8 Formats for Deep Learning" (2022), table 1.
with np.errstate(invalid="ignore"):  # ARM reports NaN that signal
    _E5M2: Final = (_CODES << 8).view(np.float16).astype(np.float32)
_E4M3: Final = np.float32(256) * ((_CODES & 0x80) << 8 | (_CODES & 0x7F) << 7).view(np.float16)
_E4M3[[0x7F, 0xFF]] = np.nan


def as_float32(raw: bytearray, dtype: str) -> Floats:
    """Returns numbers of a type in `ITEM_BYTES` as float32."""
    match dtype:
        case "BF16":  # the upper half of a float32
            return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        case "F8_E4M3":
            return _E4M3[np.frombuffer(raw, np.uint8)]
        case "F8_E5M2":
            return _E5M2[np.frombuffer(raw, np.uint8)]
    kind = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]
    return np.frombuffer(raw, kind).astype(np.float32, copy=False)


def _damaged(path: Path, detail: str) -> SourceDamaged:
    return SourceDamaged(path=str(path), detail=detail)


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

    def reader(self, stored: StoredTensor) -> ReadRows:
        """Returns a reader of rows as float32; those of 8-bit floats are multiplied by scales."""
        if stored.dtype not in _EIGHT_BITS:
            return stored.read_rows
        rows = stored.nbytes // stored.columns  # a byte each; a vector is one row
        high, wide = (-(-size // SCALE_BLOCK) for size in (rows, stored.columns))
        scales = self.take(f"{stored.name}_scale_inv", high, wide)

        def read_rows(first: int, last: int) -> Floats:
            numbers = stored.read_rows(first, last)
            top = first // SCALE_BLOCK
            few = scales.read_rows(top, -(-last // SCALE_BLOCK))
            factors = np.repeat(few, SCALE_BLOCK, axis=1)[:, : stored.columns]
            numbers *= factors[np.arange(first, last) // SCALE_BLOCK - top]
            return numbers

        return read_rows

    def plain(self, target: str, name: str, *shape: int) -> SourceTensor:
        """Returns the tensor `name` under the name `target`, with its rows in order."""
        stored = self.take(name, *shape)
        packed = stored.read_packed if stored.dtype in _SAME_BYTES else None
        read_rows = self.reader(stored)
        return SourceTensor(target, shape[::-1], stored.kind, read_rows, read_packed=packed)

    def stacked(self, target: str, names: list[str], *shape: int) -> SourceTensor:
        """Returns matrices of one `shape` stacked: the experts of a mixture."""
        parts = [self.take(name, *shape) for name in names]
        readers, rows = list(map(self.reader, parts)), shape[0]

        def read_rows(first: int, last: int) -> Floats:
            pieces = [
                readers[n](max(first - n * rows, 0), min(last - n * rows, rows))
                for n in range(first // rows, -(-last // rows))
            ]
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

        return SourceTensor(target, (*shape[::-1], len(parts)), parts[0].kind, read_rows)

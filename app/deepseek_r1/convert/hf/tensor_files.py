"""Reads safetensors files: the header strictly, the numbers a few rows at a time.

Source of the format: huggingface/safetensors, README "Format". A file is 8 bytes of length, a JSON
header, and the tensors' bytes without gap or overlap; it contains no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.errors import (
    FeatureUnknown,
    SourceChanged,
    SourceDamaged,
    TensorMissing,
)
from deepseek_r1.convert.hf.config import Json, parse_object
from deepseek_r1.convert.source_tensors import Floats, ReadPacked, ReadRows, SourceTensor
from deepseek_r1.core.errors import ModelFileUnreadable
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.ggml_types import TYPES_BY_NAME, TensorType

MAX_HEADER_BYTES: Final = 100_000_000  # the format's own limit
MAX_TENSORS: Final = 200_000
MAX_DIMENSIONS: Final = 8


ITEM_BYTES: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_OTHER_BYTES: Final = (
    {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2}
    | dict.fromkeys(("U32", "I32"), 4)
    | dict.fromkeys(("U64", "I64"), 8)
)


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
        """The number of columns."""
        return self.shape[-1] if self.shape else 1

    @property
    def rows(self) -> int:
        """The product of all leading dimensions."""
        return self.nbytes // (self.columns * ITEM_BYTES[self.dtype])

    def read_rows(self, first: int, last: int) -> Floats:
        """Returns rows `first` to `last`, exclusive, as float32 of shape (rows, columns)."""
        row_bytes = self.columns * ITEM_BYTES[self.dtype]
        raw = read_bytes(self.path, self.offset + first * row_bytes, (last - first) * row_bytes)
        return as_float32(raw, self.dtype).reshape(last - first, self.columns)


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
    dtype, shape = entry.get("dtype"), _whole_numbers(entry, "shape")
    ends = _whole_numbers(entry, "data_offsets")
    if shape is None or ends is None or len(ends) != 2 or len(shape) > MAX_DIMENSIONS:
        raise wrong
    item = ITEM_BYTES.get(str(dtype)) or _OTHER_BYTES.get(str(dtype))
    if item is None:
        shown = str(dtype)[:20]
        detail = tr("the tensor {name} has the unknown type {n}", name=name[:80], n=shown)
        raise _damaged(path, detail)
    nbytes = item
    for each in shape:
        nbytes *= each
        if nbytes > size:
            raise wrong
    if ends[1] - ends[0] != nbytes or start + ends[1] > size:
        raise wrong
    return StoredTensor(name, path, str(dtype), tuple(shape), start + ends[0], nbytes)


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


def _bf16_to_float32(raw: npt.NDArray[np.uint16]) -> Floats:
    """Returns float32, whose upper half is bfloat16."""
    wide = raw.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def as_float32(raw: bytearray, dtype: str) -> Floats:
    """Returns numbers of a type in `ITEM_BYTES` as float32."""
    if dtype == "BF16":
        return _bf16_to_float32(np.frombuffer(raw, "<u2"))
    if dtype in ("F8_E4M3", "F8_E5M2"):
        table = _E4M3 if dtype == "F8_E4M3" else _E5M2
        return table[np.frombuffer(raw, np.uint8)]
    kind = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]
    return np.frombuffer(raw, kind).astype(np.float32, copy=False)


def _eight_bit_floats(exponent_bits: int, *, infinite: bool) -> Floats:
    """Returns all 256 values of an 8-bit float. E4M3 has no infinity; its highest value is NaN.

    Source: Micikevicius et al., "FP8 Formats for Deep Learning" (2022), table 1.
    """
    mantissa_bits, bias = 7 - exponent_bits, (1 << (exponent_bits - 1)) - 1
    codes = np.arange(256)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    normal = exponent > 0
    size = np.where(normal, 1 + fraction, fraction) * 2.0 ** (np.where(normal, exponent, 1) - bias)
    top = exponent == (1 << exponent_bits) - 1
    if infinite:
        size = np.where(top, np.where(fraction == 0, np.inf, np.nan), size)
    else:
        size = np.where((codes & 0x7F) == 0x7F, np.nan, size)
    return np.where(codes & 0x80, -size, size).astype(np.float32)


_E4M3: Final = _eight_bit_floats(4, infinite=False)
_E5M2: Final = _eight_bit_floats(5, infinite=True)


def _damaged(path: Path, detail: str) -> SourceDamaged:
    return SourceDamaged(path=str(path), detail=detail)


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

"""Reads the keys at the beginning of a GGUF file of which only the first bytes were read.

The sizes of a model stand in the first kilobyte, before its vocabulary.
"""

from __future__ import annotations

import io
from pathlib import Path

from deepseek_r1.core.errors import ModelFileTruncated
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import (
    ARRAY,
    KEPT_NUMBERS,
    MAGIC,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_NUMBERS,
    SCALARS,
    STRING,
    Array,
    Container,
    Scalar,
)
from deepseek_r1.formats.cursor import Cursor


def read_leading_keys(data: bytes, name: str) -> Container:
    """The keys in `data`, up to the first that is not complete; of a list its length at least.

    Without tensors. Raises a ModelRefused for bytes that are no GGUF of version 2 or 3.
    """
    cursor = Cursor(io.BytesIO(data), Path(name), len(data))
    if cursor.take(4) != MAGIC:
        raise cursor.damaged(tr("it does not begin as GGUF does"))
    version = cursor.u32()
    if version not in (2, 3):
        raise cursor.damaged(tr("its version is {version}", version=version))
    cursor.u64()  # the number of tensors
    keys = cursor.u64()
    if keys > MAX_KEYS:
        raise cursor.damaged(tr("it claims {count} keys", count=keys))
    found = Container(cursor.path, len(data), version)
    try:
        for _ in range(keys):
            _read_key(cursor, found)
    except ModelFileTruncated:
        pass  # the rest of the header was not read
    return found


def _read_key(cursor: Cursor, found: Container) -> None:
    key = cursor.string(MAX_KEY_BYTES).decode("ascii", errors="replace")
    kind = cursor.u32()
    if kind == ARRAY:
        _read_array(cursor, found, key)
    elif kind == STRING:
        found.values[key] = cursor.string().decode("utf-8", errors="replace")
        found.kinds[key] = "str"
    elif kind in SCALARS:
        name, shape = SCALARS[kind]
        (found.values[key],) = cursor.unpack(shape)
        found.kinds[key] = name
    else:
        raise cursor.damaged(tr("the key {key} has the unknown type {kind}", key=key, kind=kind))


def _read_array(cursor: Cursor, found: Container, key: str) -> None:
    kind, length = cursor.u32(), cursor.count()
    found.kinds[key] = "arr"
    if kind == STRING:
        found.arrays[key] = Array("str", length)
        cursor.strings(length, keep=False)
        return
    if kind not in SCALARS or length > MAX_NUMBERS:
        raise cursor.damaged(tr("the key {key} has the unknown type {kind}", key=key, kind=kind))
    name, shape = SCALARS[kind]
    found.arrays[key] = Array(name, length)
    raw = cursor.take(length * shape.size)
    if length <= KEPT_NUMBERS:
        values: tuple[Scalar, ...] = tuple(value for (value,) in shape.iter_unpack(raw))
        found.arrays[key] = Array(name, length, values)

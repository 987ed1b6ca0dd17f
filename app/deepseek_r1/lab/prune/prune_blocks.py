"""Removes the blocks that change the residual stream the least on a calibration text.

The change is 1 - cosine between the stream before and after a block (Men and others, ShortGPT,
2024). Removed blocks are not compensated for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np

from deepseek_r1.convert.gguf.key_values import KeyValue, replaced, text, u32
from deepseek_r1.convert.source_tensors import Floats, ModelSource, SourceTensor
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.lab.quality.quality_errors import PruningRefused

# Families whose blocks are all alike.
_UNIFORM: Final = ("llama", "qwen2", "qwen3")
_LIST: Final = 9  # GGUF's type number of an array
_NAME: Final = re.compile(r"blk\.(\d+)\.(.+)")


def require_removable(header: ModelHeader, count: int) -> None:
    """Raise PruningRefused if `count` blocks cannot be removed."""
    if header.architecture not in _UNIFORM or header.experts:
        detail = tr(
            "Blocks are removed from these families only: {known}.", known="llama, qwen2, qwen3"
        )
        raise PruningRefused(detail=detail)
    if count > header.blocks - 1:
        detail = tr("It has {blocks} blocks, and the first one stays.", blocks=header.blocks)
        raise PruningRefused(detail=detail)


def least_turning(turns: Floats, count: int) -> list[int]:
    """Returns the `count` blocks that change the stream the least, in order.

    The first block always stays: the stream before it is not observed, and its change is large.
    Raises PruningRefused if the engine does not expose the residual stream.
    """
    seen = np.isfinite(turns[1:])
    if not seen.all():
        raise PruningRefused(detail=tr("The engine does not show what its blocks do."))
    return sorted(int(each) + 1 for each in np.argsort(turns[1:], kind="stable")[:count])


def without_blocks(source: ModelSource, removed: Collection[int]) -> ModelSource:
    """Returns `source` without these blocks; the others are renumbered."""
    stays = [block for block in range(source.blocks) if block not in removed]
    number = {old: new for new, old in enumerate(stays)}
    tensors = [_renamed(each, number) for each in source.tensors]
    for key in source.keys:
        if key.key.startswith(f"{source.architecture}.") and _entries(key) == source.blocks:
            detail = tr("Its key {key} has a value for each block.", key=key.key)
            raise PruningRefused(detail=detail)
    keys = (
        u32(f"{source.architecture}.block_count", len(stays)),
        text("r1desk.pruned.blocks", ", ".join(map(str, sorted(removed)))),
    )
    return replace(
        source,
        blocks=len(stays),
        keys=replaced(source.keys, keys),
        tensors=tuple(each for each in tensors if each is not None),
    )


def _renamed(tensor: SourceTensor, number: dict[int, int]) -> SourceTensor | None:
    """Returns the tensor under its block's new number, None if the block is removed."""
    found = _NAME.fullmatch(tensor.name)
    if found is None:
        return tensor
    new = number.get(int(found[1]))
    return None if new is None else replace(tensor, name=f"blk.{new}.{found[2]}")


def _entries(key: KeyValue) -> int:
    """Returns the length of an array, 0 for other values."""
    kind, _element = struct.unpack_from("<II", key.payload) if len(key.payload) >= 8 else (0, 0)
    return struct.unpack_from("<Q", key.payload, 8)[0] if kind == _LIST else 0

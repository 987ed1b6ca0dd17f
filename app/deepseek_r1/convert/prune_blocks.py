"""Fewer blocks: those that change the residual stream the least on a calibration text are left out.

How much a block changes it is 1 - cosine between the stream before and behind it (Men and others,
ShortGPT, 2024). Nothing stands in for the removed blocks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np

from deepseek_r1.convert.key_values import KeyValue, replaced, text, u32
from deepseek_r1.convert.quality_errors import PruningRefused
from deepseek_r1.convert.tensors import Floats, Source, SourceTensor
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import ModelHeader

# Families whose blocks are all of one kind, whatever their number.
_UNIFORM: Final = ("llama", "qwen2", "qwen3")
_LIST: Final = 9  # GGUF's number for a list
_NAME: Final = re.compile(r"blk\.(\d+)\.(.+)")


def require_removable(header: ModelHeader, count: int) -> None:
    """Raises PruningRefused where `count` blocks cannot be left out."""
    if header.architecture not in _UNIFORM or header.experts:
        detail = tr(
            "Blocks are removed from these families only: {known}.", known="llama, qwen2, qwen3"
        )
        raise PruningRefused(detail=detail)
    if count > header.blocks - 1:
        detail = tr("It has {blocks} blocks, and the first one stays.", blocks=header.blocks)
        raise PruningRefused(detail=detail)


def least_turning(turns: Floats, count: int) -> list[int]:
    """The `count` blocks that change the stream the least, in their order.

    The first one always stays: the stream before it is not seen, and it changes much.
    Raises PruningRefused where the engine did not show what the blocks do.
    """
    seen = np.isfinite(turns[1:])
    if not seen.all():
        raise PruningRefused(detail=tr("The engine does not show what its blocks do."))
    return sorted(int(each) + 1 for each in np.argsort(turns[1:], kind="stable")[:count])


def without_blocks(source: Source, removed: Collection[int]) -> Source:
    """`source` without these blocks, the others counted anew."""
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
    """The tensor under its block's new number, None where the block is left out."""
    found = _NAME.fullmatch(tensor.name)
    if found is None:
        return tensor
    new = number.get(int(found[1]))
    return None if new is None else replace(tensor, name=f"blk.{new}.{found[2]}")


def _entries(key: KeyValue) -> int:
    """How many values a list has; 0 for what is no list."""
    kind, _element = struct.unpack_from("<II", key.payload) if len(key.payload) >= 8 else (0, 0)
    return struct.unpack_from("<Q", key.payload, 8)[0] if kind == _LIST else 0

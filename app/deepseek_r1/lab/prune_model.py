"""Removes the feed-forward channels and blocks that matter least on a calibration text.

A channel is a row of gate and up and a column of down. Its importance is the length of its column
times the root mean square of its activation (as Wanda scores single weights: Sun and others, 2023).
Of the blocks those go that change the residual stream the least: 1 - cosine between the stream
before and after (Men and others, ShortGPT, 2024).

Every block loses the same number of channels, because llama.cpp gives all blocks of these families
the first one's width, even if a file lists a width for each. Pruning loses quality; the file's
metadata says so.
"""

import os
import re
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.job import ConversionRequest, ConversionResult, OnProgress, convert
from deepseek_r1.convert.model_source import Floats, KeyValue, ModelSource, SourceTensor, replaced
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import ARRAY, Scalar
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.lab.errors import PruningRefused
from deepseek_r1.lab.importance_matrix import Activations, activations
from deepseek_r1.lab.quality_run import OnProgress as OnText
from deepseek_r1.memory import meter

BLOCK: Final = 256  # channels are kept in whole blocks of the K-quants
_NARROW_BLOCK: Final = 32  # if the width is no multiple of 256
_MOST_TOKENS: Final = 8192
_READ_BYTES: Final = 8 << 20  # per block of rows; a few are in memory at a time
_UNIFORM: Final = ("llama", "qwen2", "qwen3")  # families whose blocks are all alike
_NAME: Final = re.compile(r"blk\.(\d+)\.(.+)")


def prune(
    request: ConversionRequest,
    text: Path,
    share: float,
    blocks: int,
    *,
    on_text: OnText,
    on_progress: OnProgress,
) -> ConversionResult:
    """Write `request.output` without a `share` of the channels (0 to 1), and so many `blocks`.

    Raises PruningRefused, `MeasuringRefused`, and whatever `convert` raises.
    """
    header = read_header(request.source)
    kept = kept_channels(header, share) if share else header.feed_forward
    if blocks:
        require_removable(header, blocks)
    seen = activations(
        request.source,
        text,
        memory_budget_mib=request.memory_budget_mib - int(meter.process_mib(os.getpid())),
        threads=request.threads,
        most_tokens=_MOST_TOKENS,
        on_progress=on_text,
    )
    removed = least_turning(seen.turns, blocks) if blocks else []

    def change(source: ModelSource) -> ModelSource:
        if kept < header.feed_forward:
            source = pruned(source, kept, seen)
        smaller = without_blocks(source, removed) if removed else source
        return labelled(smaller, header, kept, removed)

    inputs = {**seen.squares, "turns": seen.turns}  # a run is resumed only if they are the same
    return convert(replace(request, change=change, change_from=inputs), on_progress)


def kept_channels(header: ModelHeader, share: float) -> int:
    """Returns the channels that each block keeps, rounded up to blocks. Raises PruningRefused."""
    width = header.feed_forward
    shapes = {each.name: each.shape for each in header.tensors}
    inwards, outwards = (header.embedding, width), (width, header.embedding)
    for block in range(header.blocks):
        for part, shape in (("gate", inwards), ("up", inwards), ("down", outwards)):
            name = f"blk.{block}.ffn_{part}.weight"
            if shapes.get(name) != shape:
                detail = tr(
                    "The weight {name} is unlike that of an ordinary dense model.", name=name
                )
                raise PruningRefused(detail=detail)
    unit = BLOCK if width % BLOCK == 0 and width >= 16 * BLOCK else _NARROW_BLOCK
    kept = -(-round(width * (1 - share)) // unit) * unit
    if not 0 < kept < width:
        detail = tr(
            "{share} % of {width} channels is less than a block.", share=100 * share, width=width
        )
        raise PruningRefused(detail=detail)
    return kept


def pruned(source: ModelSource, kept: int, seen: Activations) -> ModelSource:
    """Returns `source` with `kept` channels in every block and updated keys."""
    tensors = {each.name: each for each in source.tensors}
    for block in range(source.blocks):
        gate, up, down = (f"blk.{block}.ffn_{part}.weight" for part in ("gate", "up", "down"))
        chosen = most_important(column_lengths(tensors[down]), seen.squares[down], kept)
        tensors[down] = _narrowed(tensors[down], chosen)
        for name in (gate, up):
            tensors[name] = _shortened(tensors[name], chosen)
    width = len(seen.squares["blk.0.ffn_down.weight"])
    keys: dict[str, Scalar] = {
        f"{source.architecture}.feed_forward_length": kept,
        "r1desk.pruned.channels": f"{width - kept} of {width} in every block",
    }
    return replace(source, keys=replaced(source.keys, keys), tensors=tuple(tensors.values()))


def labelled(
    source: ModelSource, header: ModelHeader, kept: int, removed: Sequence[int]
) -> ModelSource:
    """Returns `source` with a description of what was removed from the model of `header`."""
    parts = []
    if kept < header.feed_forward:
        parts.append(f"{100 * (1 - kept / header.feed_forward):.0f} % of the feed-forward channels")
    if removed:
        parts.append(f"{len(removed)} of {header.blocks} blocks")
    description = f"Lossy: {' and '.join(parts)} were removed."
    remark = tr(
        "Pruning loses quality. Channels left in each block: {kept} of {width}. Blocks removed: "
        "{blocks}.",
        kept=kept,
        width=header.feed_forward,
        blocks=", ".join(map(str, removed)) or "–",
    )
    return replace(
        source,
        keys=replaced(source.keys, {"general.description": description}),
        remarks=(*source.remarks, remark),
    )


def most_important(lengths: Floats, squares: Floats, kept: int) -> npt.NDArray[np.int64]:
    """Returns the `kept` most important columns, in order.

    The importance is the column's length in `down` times the root mean square of its input.
    """
    scores = lengths * np.sqrt(squares)
    return np.sort(np.argsort(scores, kind="stable")[-kept:])


def column_lengths(tensor: SourceTensor) -> Floats:
    """Returns the Euclidean length of each column."""
    squares = np.zeros(tensor.columns)
    for first, last in _blocks_of_rows(tensor):
        rows = tensor.read_rows(first, last)
        squares += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
    lengths: Floats = np.sqrt(squares).astype(np.float32)
    return lengths


def _shortened(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> SourceTensor:

    def read_rows(first: int, last: int) -> Floats:
        wanted = chosen[first:last]
        rows = np.empty((len(wanted), tensor.columns), np.float32)
        for start, end in _blocks_of_rows(tensor):
            inside = slice(*np.searchsorted(wanted, (start, end)))
            if inside.start < inside.stop:
                rows[inside] = tensor.read_rows(start, end)[wanted[inside] - start]
        return rows

    return SourceTensor(tensor.name, (tensor.columns, len(chosen)), tensor.kind, read_rows)


def _narrowed(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> SourceTensor:

    def read_rows(first: int, last: int) -> Floats:
        return np.ascontiguousarray(tensor.read_rows(first, last)[:, chosen])

    return SourceTensor(tensor.name, (len(chosen), tensor.rows), tensor.kind, read_rows)


def _blocks_of_rows(tensor: SourceTensor) -> Iterator[tuple[int, int]]:
    """Yields the first row and the end of blocks that are a few MiB as float32."""
    step = max(1, _READ_BYTES // (4 * tensor.columns))
    for first in range(0, tensor.rows, step):
        yield first, min(first + step, tensor.rows)


# ---- blocks --------------------------------------------------------------------------------------


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
    for key in source.keys:
        if key.key.startswith(f"{source.architecture}.") and _entries(key) == source.blocks:
            detail = tr("Its key {key} has a value for each block.", key=key.key)
            raise PruningRefused(detail=detail)
    keys: dict[str, Scalar] = {
        f"{source.architecture}.block_count": len(stays),
        "r1desk.pruned.blocks": ", ".join(map(str, sorted(removed))),
    }
    return replace(
        source,
        blocks=len(stays),
        keys=replaced(source.keys, keys),
        tensors=tuple(_renumbered(source.tensors, stays)),
    )


def _renumbered(tensors: Sequence[SourceTensor], stays: list[int]) -> Iterator[SourceTensor]:
    """Yields the tensors outside of blocks and those of the blocks that stay."""
    for tensor in tensors:
        found = _NAME.fullmatch(tensor.name)
        if found is None:
            yield tensor
        elif int(found[1]) in stays:
            yield replace(tensor, name=f"blk.{stays.index(int(found[1]))}.{found[2]}")


def _entries(key: KeyValue) -> int:
    """Returns the length of an array, 0 for other values."""
    kind, _element, count = struct.unpack_from("<IIQ", key.payload.ljust(16, b"\0"))
    return count if kind == ARRAY else 0

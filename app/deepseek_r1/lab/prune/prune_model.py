"""Removes the feed-forward channels and blocks that matter least on a calibration text.

A channel is a row of gate and up and a column of down. Its importance is the length of its column
times the root mean square of its activation (as Wanda scores single weights: Sun and others, 2023).
`prune_fit` fits the remaining channels so that they compensate for the removed ones.
`prune_blocks` selects the blocks.

Every block loses the same number of channels, because llama.cpp gives all blocks of these families
the first one's width, even if a file lists a width for each. Pruning loses quality; the file's
metadata says so.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.gguf.key_values import replaced, text, u32
from deepseek_r1.convert.job import ConversionRequest, ConversionResult, OnProgress, convert
from deepseek_r1.convert.source_tensors import Floats, ModelSource, SourceTensor
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.lab.importance_matrix import WINDOW, Activations, activations
from deepseek_r1.lab.prune.prune_blocks import least_turning, require_removable, without_blocks
from deepseek_r1.lab.prune.prune_fit import blocks_of_rows, fit_mib, fitted_columns
from deepseek_r1.lab.quality.quality_child import Launch
from deepseek_r1.lab.quality.quality_child import OnProgress as OnText
from deepseek_r1.lab.quality.quality_errors import FitTooLarge, NoSpaceForLogits, PruningRefused
from deepseek_r1.lab.quality.quality_messages import Collect
from deepseek_r1.lab.quality.quality_run import DISK_LIMIT_MIB
from deepseek_r1.memory import meter

BLOCK: Final = 256  # channels are kept in whole blocks of the K-quants
_NARROW_BLOCK: Final = 32  # if the width is no multiple of 256
_MOST_TOKENS: Final = 8192
_RESERVE_MIB: Final = 104.0  # Python's memory and the largest piece being quantised
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Pruning:
    """The `share` of channels (0 to 1) and the number of `blocks` to remove, and the text.

    `disk_limit_mib` bounds the activations kept on the disk for the compensation, and so the number
    of tokens used. `scratch` is their folder, None means the system's temporary folder.
    """

    share: float
    text: Path
    blocks: int = 0
    compensate: bool = True
    disk_limit_mib: int = DISK_LIMIT_MIB
    scratch: Path | None = None


def prune(
    request: ConversionRequest,
    pruning: Pruning,
    launch: Launch,
    on_text: OnText,
    on_progress: OnProgress,
) -> ConversionResult:
    """Write `request.output` with fewer channels or blocks.

    Raises PruningRefused, FitTooLarge, `MeasuringRefused`, and whatever `convert` raises.
    """
    header = read_header(request.source)
    kept = kept_channels(header, pruning.share) if pruning.share else header.feed_forward
    if pruning.blocks:
        require_removable(header, pruning.blocks)
    fits = pruning.compensate and kept < header.feed_forward
    if fits:
        _require_memory(header, kept, request.memory_budget_mib)
    with tempfile.TemporaryDirectory(prefix="r1desk-prune-", dir=pruning.scratch) as folder:
        collect = Collect(
            model=request.source.resolve(),
            text=pruning.text.resolve(),
            folder=Path(folder),
            kept=_downs(header.blocks) if fits else (),
            window=WINDOW,
            most_tokens=_most_tokens(header, pruning.disk_limit_mib) if fits else _MOST_TOKENS,
            memory_budget_mib=request.memory_budget_mib - int(meter.process_mib(os.getpid())),
            threads=request.threads,
        )
        seen = activations(collect, launch, on_text)
        removed = least_turning(seen.turns, pruning.blocks) if pruning.blocks else []

        def change(source: ModelSource) -> ModelSource:
            if kept < header.feed_forward:
                source = pruned(source, kept, seen, compensate=pruning.compensate)
            smaller = without_blocks(source, removed) if removed else source
            return labelled(smaller, header, kept, removed)

        return convert(replace(request, change=change, change_from=_digest(seen)), on_progress)


def _digest(seen: Activations) -> str:
    """Returns a digest of all inputs of the selection: a run is resumed only if it is the same."""
    digest = hashlib.sha256(seen.turns.tobytes())
    for name in sorted(seen.squares):
        digest.update(b"\0" + name.encode() + seen.squares[name].tobytes())
    return digest.hexdigest()


def _downs(blocks: int) -> tuple[str, ...]:
    return tuple(f"blk.{n}.ffn_down.weight" for n in range(blocks))


def _most_tokens(header: ModelHeader, disk_limit_mib: int) -> int:
    """Returns the number of tokens whose activations fit on the disk. Raises NoSpaceForLogits."""
    token_bytes = 4 * header.feed_forward * header.blocks
    tokens = min(_MOST_TOKENS, disk_limit_mib * _MIB // token_bytes)
    if tokens < WINDOW:
        needed_mib = WINDOW * token_bytes // _MIB + 1
        raise NoSpaceForLogits(needed_mib=needed_mib, given_mib=disk_limit_mib)
    return tokens


def _require_memory(header: ModelHeader, kept: int, budget_mib: int) -> None:
    """Raise FitTooLarge before the text is read if the fit exceeds the budget."""
    needed_mib = fit_mib(header.feed_forward, kept, header.embedding)
    needed_mib += meter.process_mib(os.getpid()) + _RESERVE_MIB
    if needed_mib > budget_mib:
        raise FitTooLarge(
            channels=header.feed_forward, needed_mib=int(needed_mib) + 1, budget_mib=budget_mib
        )


def kept_channels(header: ModelHeader, share: float) -> int:
    """Returns the channels that each block keeps, rounded up to blocks. Raises PruningRefused."""
    width = header.feed_forward
    shapes = {each.name: each.shape for each in header.tensors}
    for block in range(header.blocks):
        for part, columns in (("gate", False), ("up", False), ("down", True)):
            name = f"blk.{block}.ffn_{part}.weight"
            shape = shapes.get(name, ())
            if len(shape) != 2 or shape[0 if columns else 1] != width:
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


def pruned(source: ModelSource, kept: int, seen: Activations, *, compensate: bool) -> ModelSource:
    """Returns `source` with `kept` channels in every block and updated keys."""
    tensors = {each.name: each for each in source.tensors}
    for block in range(source.blocks):
        gate, up, down = (f"blk.{block}.ffn_{part}.weight" for part in ("gate", "up", "down"))
        chosen = most_important(column_lengths(tensors[down]), seen.squares[down], kept)
        inputs = seen.inputs[down] if compensate else None
        tensors[down] = _narrowed(tensors[down], chosen, inputs)
        for name in (gate, up):
            tensors[name] = _shortened(tensors[name], chosen)
    width = len(seen.squares["blk.0.ffn_down.weight"])
    keys = (
        u32(f"{source.architecture}.feed_forward_length", kept),
        text("r1desk.pruned.channels", f"{width - kept} of {width} in every block"),
        text("r1desk.pruned.compensated", "yes" if compensate else "no"),
    )
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
    description = text("general.description", f"Lossy: {' and '.join(parts)} were removed.")
    remark = tr(
        "Pruning loses quality. Channels left in each block: {kept} of {width}. Blocks removed: "
        "{blocks}.",
        kept=kept,
        width=header.feed_forward,
        blocks=", ".join(map(str, removed)) or "–",
    )
    return replace(
        source,
        keys=replaced(source.keys, (description,)),
        remarks=(*source.remarks, remark),
    )


def most_important(lengths: Floats, squares: Floats, kept: int) -> npt.NDArray[np.int64]:
    """Returns the `kept` most important columns, in order.

    The importance is the column's length in `down` times the root mean square of its input.
    """
    scores = lengths * np.sqrt(squares)
    chosen: npt.NDArray[np.int64] = np.sort(np.argsort(scores, kind="stable")[-kept:])
    return chosen


def column_lengths(tensor: SourceTensor) -> Floats:
    """Returns the Euclidean length of each column."""
    squares = np.zeros(tensor.columns)
    for first, last in blocks_of_rows(tensor):
        rows = tensor.read_rows(first, last)
        squares += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
    lengths: Floats = np.sqrt(squares).astype(np.float32)
    return lengths


def _shortened(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> SourceTensor:
    """Returns the tensor with the chosen rows only."""

    def read_rows(first: int, last: int) -> Floats:
        wanted = chosen[first:last]
        rows = np.empty((len(wanted), tensor.columns), np.float32)
        for start, end in blocks_of_rows(tensor):
            inside = slice(*np.searchsorted(wanted, (start, end)))
            if inside.start < inside.stop:
                rows[inside] = tensor.read_rows(start, end)[wanted[inside] - start]
        return rows

    return SourceTensor(tensor.name, (tensor.columns, len(chosen)), tensor.kind, read_rows)


def _narrowed(
    tensor: SourceTensor, chosen: npt.NDArray[np.int64], inputs: Path | None
) -> SourceTensor:
    """Returns the chosen columns, fitted to the activations in `inputs` if these are given."""
    shape = (len(chosen), tensor.rows)
    if inputs is None:
        return SourceTensor(tensor.name, shape, tensor.kind, _columns(tensor, chosen))

    def fitted() -> Floats:
        return fitted_columns(tensor, inputs, chosen)

    def read_rows(first: int, last: int) -> Floats:
        return _once(fitted)[first:last]

    return SourceTensor(tensor.name, shape, tensor.kind, read_rows)


def _columns(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> Callable[[int, int], Floats]:
    def read_rows(first: int, last: int) -> Floats:
        return np.ascontiguousarray(tensor.read_rows(first, last)[:, chosen])

    return read_rows


@lru_cache(maxsize=1)
def _once(fitted: Callable[[], Floats]) -> Floats:
    """Returns a reader that fits the matrix once and caches it while its pieces are read."""
    return fitted()

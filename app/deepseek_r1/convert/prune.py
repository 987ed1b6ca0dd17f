"""Fewer feed-forward channels: those that matter least on a calibration text are left out.

A channel is a row of gate and up and a column of down. Its importance is the length of its column
times the root mean square of its activation (as Wanda scores single weights: Sun and others, 2023).
What the removed channels contributed is given to the others as far as they can carry it: the
remaining columns are fitted by least squares to the whole product on the calibration activations,
W' = W C[:, S] (C[S, S] + l I)^-1 with C = X^T X.

The same number goes from every block, because llama.cpp reads one length for all of them. Pruning
loses quality, and the file says so in its metadata.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepseek_r1.convert.importance import WINDOW, Activations, activations
from deepseek_r1.convert.job import Converted, OnProgress, Wish, convert
from deepseek_r1.convert.key_values import replaced, text, u32
from deepseek_r1.convert.quality_child import Launch
from deepseek_r1.convert.quality_child import OnProgress as OnText
from deepseek_r1.convert.quality_errors import NoRoomForRows, PruningRefused
from deepseek_r1.convert.quality_messages import Collect
from deepseek_r1.convert.tensors import Floats, Source, SourceTensor
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import ModelHeader, read_header

BLOCK: Final = 256  # channels are kept in whole blocks of the widest packed types
_NARROW_BLOCK: Final = 32  # where the length is no multiple of the wide one
_DAMPING: Final = 0.01  # of the mean diagonal; keeps the fit from following noise
_MOST_TOKENS: Final = 8192
_ROWS_AT_ONCE: Final = 1024
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Pruning:
    """`share` of the channels to remove, 0 to 1, by their activations on `text`.

    `disk_limit_mib` bounds the activations that wait on the disk for the compensation, and with
    them how much of the text is used.
    """

    share: float
    text: Path
    compensate: bool = True
    disk_limit_mib: int = 4096


def prune(
    wish: Wish, pruning: Pruning, launch: Launch, on_text: OnText, on_progress: OnProgress
) -> Converted:
    """Write `wish.output` with fewer channels.

    Raises PruningRefused, `MeasuringRefused`, and whatever `convert` raises.
    """
    header = read_header(wish.source)
    kept = kept_channels(header, pruning.share)
    downs = tuple(f"blk.{n}.ffn_down.weight" for n in range(header.blocks))
    token_bytes = 4 * header.feed_forward * header.blocks
    tokens = min(_MOST_TOKENS, pruning.disk_limit_mib * _MIB // token_bytes)
    if tokens < WINDOW:
        needed_mib = WINDOW * token_bytes // _MIB + 1
        raise NoRoomForRows(needed_mib=needed_mib, given_mib=pruning.disk_limit_mib)
    with tempfile.TemporaryDirectory(prefix="r1desk-prune-") as folder:
        request = Collect(
            model=wish.source.resolve(),
            text=pruning.text.resolve(),
            folder=Path(folder),
            kept=downs,
            window=WINDOW,
            most_tokens=tokens,
            memory_budget_mib=wish.memory_budget_mib,
            threads=wish.threads,
        )
        seen = activations(request, launch, on_text)

        def change(source: Source) -> Source:
            return pruned(source, kept, seen, compensate=pruning.compensate)

        return convert(replace(wish, change=change), on_progress)


def kept_channels(header: ModelHeader, share: float) -> int:
    """How many channels of a block stay: never fewer than asked for. Raises PruningRefused."""
    width = header.feed_forward
    shapes = {each.name: each.shape for each in header.tensors}
    for block in range(header.blocks):
        for part, columns in (("gate", False), ("up", False), ("down", True)):
            name = f"blk.{block}.ffn_{part}.weight"
            shape = shapes.get(name, ())
            if len(shape) != 2 or shape[0 if columns else 1] != width:
                detail = tr("The weight {name} is not as in an ordinary dense model.", name=name)
                raise PruningRefused(detail=detail)
    unit = BLOCK if width % BLOCK == 0 and width >= 16 * BLOCK else _NARROW_BLOCK
    kept = -(-round(width * (1 - share)) // unit) * unit
    if not 0 < kept < width:
        detail = tr(
            "{share} % of {width} channels is less than a block.", share=100 * share, width=width
        )
        raise PruningRefused(detail=detail)
    return kept


def pruned(source: Source, kept: int, seen: Activations, *, compensate: bool) -> Source:
    """`source` with `kept` channels in every block, and keys that say so."""
    tensors = {each.name: each for each in source.tensors}
    for block in range(source.blocks):
        gate, up, down = (f"blk.{block}.ffn_{part}.weight" for part in ("gate", "up", "down"))
        matrix = tensors[down].read_rows(0, tensors[down].rows)
        chosen = most_important(matrix, seen.squares[down], kept)
        inputs = seen.inputs[down] if compensate else None
        tensors[down] = _narrowed(tensors[down], chosen, inputs)
        for name in (gate, up):
            tensors[name] = _shortened(tensors[name], chosen)
    width = len(seen.squares["blk.0.ffn_down.weight"])
    share = f"{100 * (1 - kept / width):.0f} %"
    keys = (
        u32(f"{source.architecture}.feed_forward_length", kept),
        text("general.description", f"Lossy: {share} of the feed-forward channels were removed."),
        text("r1desk.pruned.channels", f"{width - kept} of {width} in every block"),
        text("r1desk.pruned.compensated", "yes" if compensate else "no"),
    )
    return replace(
        source,
        keys=replaced(source.keys, keys),
        tensors=tuple(tensors.values()),
        remarks=(*source.remarks, tr("Pruning loses quality: {share} removed.", share=share)),
    )


def most_important(down: Floats, squares: Floats, kept: int) -> npt.NDArray[np.int64]:
    """The `kept` columns of `down` that contribute most, in their order."""
    scores = np.linalg.norm(down, axis=0) * np.sqrt(squares)
    chosen: npt.NDArray[np.int64] = np.sort(np.argsort(scores, kind="stable")[-kept:])
    return chosen


def compensated(down: Floats, gram: Floats, chosen: npt.NDArray[np.int64]) -> Floats:
    """The chosen columns, fitted so that their product is nearest to that of all columns.

    `down` has shape (outputs, channels), `gram` is X^T X, shape (channels, channels).
    """
    inner = gram[np.ix_(chosen, chosen)].astype(np.float64)
    inner[np.diag_indices_from(inner)] += _DAMPING * np.diag(inner).mean()
    fitted = np.linalg.solve(inner, gram[chosen].astype(np.float64) @ down.T.astype(np.float64))
    rows: Floats = np.ascontiguousarray(fitted.T, np.float32)
    return rows


def gram_of(inputs: Path, channels: int) -> Floats:
    """X^T X of the rows in a file of float32, a few rows in memory at a time."""
    gram = np.zeros((channels, channels), np.float32)
    with inputs.open("rb") as file:
        while (rows := np.fromfile(file, np.float32, _ROWS_AT_ONCE * channels)).size:
            piece = rows.reshape(-1, channels)
            gram += piece.T @ piece
    return gram


def _shortened(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> SourceTensor:
    """Only the chosen rows."""

    def read_rows(first: int, last: int) -> Floats:
        wanted = chosen[first:last]
        start = int(wanted[0])
        rows: Floats = tensor.read_rows(start, int(wanted[-1]) + 1)[wanted - start]
        return rows

    return SourceTensor(tensor.name, (tensor.columns, len(chosen)), tensor.kind, read_rows)


def _narrowed(
    tensor: SourceTensor, chosen: npt.NDArray[np.int64], inputs: Path | None
) -> SourceTensor:
    """Only the chosen columns, fitted to the activations in `inputs` where they are given."""
    shape = (len(chosen), tensor.rows)
    if inputs is None:
        return SourceTensor(tensor.name, shape, tensor.kind, _columns(tensor, chosen))

    def fitted() -> Floats:
        down = tensor.read_rows(0, tensor.rows)
        return compensated(down, gram_of(inputs, tensor.columns), chosen)

    def read_rows(first: int, last: int) -> Floats:
        return _once(fitted)[first:last]

    return SourceTensor(tensor.name, shape, tensor.kind, read_rows)


def _columns(tensor: SourceTensor, chosen: npt.NDArray[np.int64]) -> Callable[[int, int], Floats]:
    def read_rows(first: int, last: int) -> Floats:
        return np.ascontiguousarray(tensor.read_rows(first, last)[:, chosen])

    return read_rows


@lru_cache(maxsize=1)
def _once(fitted: Callable[[], Floats]) -> Floats:
    """A matrix is fitted once, though it is read piece by piece; the last one is remembered."""
    return fitted()

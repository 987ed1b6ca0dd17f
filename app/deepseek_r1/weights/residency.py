"""Which weights stay in memory and which pass through slots: arithmetic over a file's header.

A model without experts, or with experts taken as whole tensors as here, is read in a fixed cycle.
What is read least often is then best: keep as many bytes as fit, always the same ones, and read
the others once a pass. A cache that evicts what was used longest ago would always evict what
comes next, so `lru` and `lfu` mean the same as `pinned` until experts are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.weights.region import PAGE, page_up

MIB = 1 << 20
CHUNK_BYTES = 524_288
LEAST_SLOTS = 2  # one is computed with while the other fills
EMBEDDING = "token_embd.weight"
EMBEDDING_BYTES = 4 * MIB  # rows of it that are kept, a page or two each
_SLOTS = 3
_SLOTS_BYTES = 48 * MIB  # deep enough for any disk, where slots are small
_SLOTS_SHARE = 8  # and at most this fraction of what could stream
# Matrices that are multiplied with and used nowhere else, in the order of the computation.
_ORDER = (
    "attn_qkv", "attn_q_a", "attn_q_b", "attn_q", "attn_kv_a_mqa", "attn_k_b", "attn_kv_b",
    "attn_k", "attn_v", "attn_v_b", "attn_gate", "attn_output", "ffn_gate_exps", "ffn_up_exps",
    "ffn_down_exps", "ffn_gate_up_exps", "ffn_up", "ffn_gate", "ffn_down", "ffn_up_shexp",
    "ffn_gate_shexp", "ffn_down_shexp",
)  # fmt: skip
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)}
_NAME = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


class ResidencyTooSmall(Exception):
    """Not even two slots fit beside what cannot be streamed."""

    def __init__(self, needed_mib: float, given_mib: float) -> None:
        super().__init__(f"the weights need {needed_mib:.1f} MiB, {given_mib:.1f} are given")
        self.needed_mib, self.given_mib = needed_mib, given_mib


@dataclass(frozen=True, slots=True)
class Residency:
    """Where each tensor of a model is. MiB; `streamed` is in the order of the computation."""

    pinned: tuple[str, ...]
    streamed: tuple[str, ...]
    slots: int
    slot_bytes: int
    pinned_mib: float
    slots_mib: float
    streamed_mib: float  # read in every pass over the layers
    embedding_on_disk: bool  # its rows are read when a token asks for them


def plan_residency(
    header: ModelHeader,
    weights_mib: float,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    strategy: CacheStrategy = CacheStrategy.AUTO,
) -> Residency:
    """Keep what fits into `weights_mib`, slots included; stream the rest evenly over the layers.

    Slots are whole chunks. `strategy`: all are the same here, see the module's own words.
    Raises ResidencyTooSmall.
    """
    del strategy
    layers = _layers(header)
    matrices = [each for layer in layers for each in layer]
    names = {each.name for each in matrices}
    on_disk = header.has_output and any(each.name == EMBEDDING for each in header.tensors)
    fixed = [
        each
        for each in header.tensors
        if each.name not in names and not (on_disk and each.name == EMBEDDING)
    ]
    room = int(weights_mib * MIB) - sum(map(_resident_bytes, fixed))
    room -= EMBEDDING_BYTES if on_disk else 0
    everything = sum(map(_resident_bytes, matrices))
    slot_bytes = _slot_bytes(matrices, chunk_bytes)
    if room < LEAST_SLOTS * slot_bytes:
        needed_mib = weights_mib + (LEAST_SLOTS * slot_bytes - room) / MIB
        raise ResidencyTooSmall(needed_mib, weights_mib)
    slots = _slot_count(matrices, slot_bytes, room)
    pinned = _pins(layers, room - slots * slot_bytes)
    if everything <= room - slots * slot_bytes:
        pinned = names
    pinned |= {each.name for each in fixed}
    kept = [each for each in header.tensors if each.name in pinned]
    streamed = [each for each in matrices if each.name not in pinned]
    disk_mib = EMBEDDING_BYTES / MIB if on_disk else 0.0
    return Residency(
        pinned=tuple(each.name for each in kept),
        streamed=tuple(each.name for each in streamed),
        slots=slots,
        slot_bytes=slot_bytes,
        pinned_mib=sum(map(_resident_bytes, kept)) / MIB + disk_mib,
        slots_mib=slots * slot_bytes / MIB,
        streamed_mib=sum(each.nbytes for each in streamed) / MIB,
        embedding_on_disk=on_disk,
    )


def least_weights_mib(header: ModelHeader) -> float:
    """The least that `plan_residency` takes."""
    try:
        plan_residency(header, 0.0)
    except ResidencyTooSmall as error:
        return error.needed_mib
    return 0.0


def streamable(header: ModelHeader) -> tuple[str, ...]:
    """All that may stream, in the order of the computation."""
    return tuple(each.name for layer in _layers(header) for each in layer)


def _layers(header: ModelHeader) -> list[list[TensorInfo]]:
    """What may stream, by layer, in the order it is used."""
    layers: dict[int, list[tuple[int, TensorInfo]]] = {}
    for each in header.tensors:
        found = _NAME.fullmatch(each.name)
        if found is not None and found[2] in _RANK and len(each.shape) > 1:
            layers.setdefault(int(found[1]), []).append((_RANK[found[2]], each))
    return [
        [each for _, each in sorted(layers[number], key=lambda ranked: ranked[0])]
        for number in sorted(layers)
    ]


def _resident_bytes(tensor: TensorInfo) -> int:
    """With the pages at its ends, which it shares with its neighbours in the file."""
    return page_up(tensor.nbytes) + PAGE


def _slot_bytes(matrices: Sequence[TensorInfo], chunk_bytes: int) -> int:
    """Room for the largest matrix, in whole chunks where it is larger than one."""
    most = max(map(_resident_bytes, matrices), default=0)
    return ceil(most / chunk_bytes) * chunk_bytes if most > chunk_bytes else page_up(most)


def _slot_count(matrices: Sequence[TensorInfo], slot_bytes: int, room: int) -> int:
    """Few slots stall the disk, many take bytes from the pins: at most a quarter of the room."""
    if not matrices:
        return 0
    share = sum(each.nbytes for each in matrices) // _SLOTS_SHARE
    wanted = max(_SLOTS, min(_SLOTS_BYTES, share) // slot_bytes)
    fitting = room // slot_bytes
    return max(min(fitting, _SLOTS), min(wanted, fitting // 4))


def _pins(layers: Sequence[Sequence[TensorInfo]], room: int) -> set[str]:
    """Names of matrices to keep. A layer's share that is left over goes to the next one."""
    pinned: set[str] = set()
    left = 0.0
    for layer in layers:
        left += max(room, 0) / len(layers)
        for each in sorted(layer, key=lambda tensor: -tensor.nbytes):
            if _resident_bytes(each) <= left:
                pinned.add(each.name)
                left -= _resident_bytes(each)
    others = [each for layer in layers for each in layer if each.name not in pinned]
    for each in sorted(others, key=lambda tensor: -tensor.nbytes):
        if _resident_bytes(each) <= left:
            pinned.add(each.name)
            left -= _resident_bytes(each)
    return pinned

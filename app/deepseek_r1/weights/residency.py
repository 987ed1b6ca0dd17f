"""Which weights stay in memory and which pass through slots: arithmetic over a file's header.

Matrices that every token needs are read in a fixed cycle. What is read least often is then best:
keep as many bytes as fit, always the same ones, and read the others once a pass. A cache that
evicts what was used longest ago would always evict what comes next.

A token needs a few of a mixture's experts only. They have a cache of their own, with room for at
least those of one token, if possible for a whole layer's, so that a prompt is read in large
batches. Then come the matrices that every token needs; what is left is cache.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.weights.experts import (
    ExpertLayer,
    cache_bytes,
    edge_bytes,
    expert_layers,
    expert_reads,
    least_cache_bytes,
    tokens_at_once,
)
from deepseek_r1.weights.region import PAGE, page_up

MIB = 1 << 20
CHUNK_BYTES = 524_288
LEAST_SLOTS = 2  # one is computed with while the other fills
EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
EMBEDDING_BYTES = 4 * MIB  # rows of it that are kept, a page or two each
_SLOTS = 3
# A drive is at half its speed where the ring lets it have this much to read at once. Measured on a
# slow day of a drive whose answers take a millisecond; on a good one, and on a laptop's own, less.
_HALF_SPEED_BYTES = 3 * MIB
_SLOTS_SHARE = 8  # the ring is at most this fraction of what could stream
_SHORT_READ_BYTES = 2 * MIB  # a read costs its request as well: those of small matrices are saved
# Matrices that are multiplied with and used nowhere else, in the order of the computation.
_ORDER = (
    "attn_qkv", "attn_q_a", "attn_q_b", "attn_q", "attn_k_b", "attn_kv_a_mqa", "attn_kv_b",
    "attn_v", "attn_k", "attn_v_b", "attn_gate", "attn_output", "ffn_gate_exps", "ffn_up_exps",
    "ffn_gate_up_exps", "ffn_down_exps", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_shexp",
    "ffn_up_shexp", "ffn_down_shexp",
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
    streamed_mib: float  # read for every token; of experts as if they were chosen at random
    embedding_on_disk: bool  # its rows are read when a token asks for them
    experts_bytes: int = 0  # room for experts; 0 without any
    expert_reads_mib: float = 0.0  # of `streamed_mib`
    tokens_at_once: int = 0  # more could need more experts than there is room for; 0: no limit

    @property
    def ring_bytes(self) -> int:
        """Memory that weights pass through; a page where none do."""
        return max(PAGE, self.slots * self.slot_bytes)

    @property
    def experts_mib(self) -> float:
        """Room for experts."""
        return self.experts_bytes / MIB


def plan_residency(
    header: ModelHeader, weights_mib: float, *, chunk_bytes: int = CHUNK_BYTES
) -> Residency:
    """Keep what fits into `weights_mib`, slots included; stream the rest evenly over the layers.

    Slots are whole chunks. Raises ResidencyTooSmall.
    """
    mixture = expert_layers(header)
    layers, fixed = _split(header, mixture)
    matrices = [each for layer in layers for each in layer]
    on_disk = _embedding_on_disk(header)
    disk_bytes = EMBEDDING_BYTES if on_disk else 0
    room = int(weights_mib * MIB) - sum(map(_resident_bytes, fixed)) - disk_bytes
    room -= edge_bytes(mixture)
    everything = sum(map(_resident_bytes, matrices))
    slot_bytes = _slot_bytes(matrices, chunk_bytes)
    least = LEAST_SLOTS * slot_bytes + least_cache_bytes(mixture)
    if room < least:
        raise ResidencyTooSmall(weights_mib + (least - room) / MIB, weights_mib)
    cache = cache_bytes(mixture, room - LEAST_SLOTS * slot_bytes, room - everything)
    room -= cache
    slots = 0 if mixture and everything <= room else _slot_count(matrices, slot_bytes, room)
    room -= slots * slot_bytes
    pinned = {each.name for each in matrices} if everything <= room else _pins(layers, room)
    pinned |= {each.name for each in fixed}
    kept = [each for each in header.tensors if each.name in pinned]
    streamed = [each for each in matrices if each.name not in pinned]
    reads_mib = expert_reads(mixture, cache) / MIB
    return Residency(
        pinned=tuple(each.name for each in kept),
        streamed=tuple(each.name for each in streamed),
        slots=slots,
        slot_bytes=slot_bytes,
        pinned_mib=(sum(map(_resident_bytes, kept)) + edge_bytes(mixture) + disk_bytes) / MIB,
        slots_mib=slots * slot_bytes / MIB,
        streamed_mib=sum(each.nbytes for each in streamed) / MIB + reads_mib,
        embedding_on_disk=on_disk,
        experts_bytes=cache,
        expert_reads_mib=reads_mib,
        tokens_at_once=tokens_at_once(mixture, cache),
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


def _embedding_on_disk(header: ModelHeader) -> bool:
    return header.has_output and any(each.name == EMBEDDING for each in header.tensors)


def _split(
    header: ModelHeader, mixture: Sequence[ExpertLayer]
) -> tuple[list[list[TensorInfo]], list[TensorInfo]]:
    """What every token needs: the matrices of each layer, and what cannot stream."""
    experts = {each.name for layer in mixture for each in layer.tensors}
    layers = [[each for each in layer if each.name not in experts] for layer in _layers(header)]
    elsewhere = experts | {each.name for layer in layers for each in layer}
    if _embedding_on_disk(header):
        elsewhere.add(EMBEDDING)
    return layers, [each for each in header.tensors if each.name not in elsewhere]


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
    """Few slots stall the disk, many take bytes from the pins: where a pass takes least time.

    One slot is computed with; the drive fills the others.
    """
    if not matrices:
        return 0
    everything = sum(map(_resident_bytes, matrices))

    def pass_takes(slots: int) -> float:
        streamed = max(everything - room + slots * slot_bytes, 0)
        return streamed * (1 + _HALF_SPEED_BYTES / ((slots - 1) * slot_bytes))

    fitting = room // slot_bytes
    most = min(fitting, max(_SLOTS, everything // _SLOTS_SHARE // slot_bytes))
    return min(range(min(fitting, _SLOTS), most + 1), key=pass_takes)


def _pins(layers: Sequence[Sequence[TensorInfo]], room: int) -> set[str]:
    """Names of matrices to keep: small ones, then the largest that fit.

    A layer's share that is left over goes to the next one.
    """
    pinned: set[str] = set()
    left = 0.0
    for layer in layers:
        left += max(room, 0) / len(layers)
        for each in sorted(layer, key=_worth_keeping):
            if _resident_bytes(each) <= left:
                pinned.add(each.name)
                left -= _resident_bytes(each)
    others = [each for layer in layers for each in layer if each.name not in pinned]
    for each in sorted(others, key=_worth_keeping):
        if _resident_bytes(each) <= left:
            pinned.add(each.name)
            left -= _resident_bytes(each)
    return pinned


def _worth_keeping(tensor: TensorInfo) -> tuple[bool, int]:
    return tensor.nbytes > _SHORT_READ_BYTES, -tensor.nbytes

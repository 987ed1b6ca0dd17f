"""Plans which weights stay in memory and which pass through the ring: arithmetic over the header.

Weights that every token needs are read in a fixed cycle. For a cycle, pinning is optimal: keep as
many bytes as fit, always the same ones, and read the others once per pass. A cache that evicts the
least recently used weight would always evict the one that is needed next.

A token uses only a few of a mixture's experts. They have a cache of their own, which holds at
least the experts of one token and, if possible, those of a whole layer, so that prompts can be
computed in large batches. Weights that every token needs come second; what is left enlarges the
cache.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.formats.header import once_per_header
from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE, page_up

MIB = 1 << 20
CHUNK_BYTES = 524_288
LEAST_SLOTS = 2  # the computation uses one while the other is filled
EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
EMBEDDING_BYTES = 4 * MIB  # memory for rows of an embedding on disk, a page or two each
_SLOTS = 3
# A drive reaches half its speed where the ring lets it read this much at once. Measured on a slow
# day of a drive that answers after a millisecond; on a good day, and on a laptop's drive, it is
# less.
_QUEUE_BYTES = 3 * MIB
_SLOTS_SHARE = 8  # the ring is at most this fraction of what could stream
_SHORT_READ_BYTES = 2 * MIB  # a request dominates shorter reads: such weights are pinned first
# Weights that are used in products and nowhere else, in the order of the computation.
_ORDER = (
    "attn_qkv", "attn_q_a", "attn_q_b", "attn_q", "attn_k_b", "attn_kv_a_mqa", "attn_kv_b",
    "attn_v", "attn_k", "attn_v_b", "attn_gate", "attn_output", "ffn_gate_exps", "ffn_up_exps",
    "ffn_gate_up_exps", "ffn_down_exps", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_shexp",
    "ffn_up_shexp", "ffn_down_shexp",
)  # fmt: skip
# Of the experts that a token uses, those in memory, by the share of all that fit: the lowest of
# three trained mixtures with 128 experts a layer (`bench/replay_routes.py`).
_HITS = (
    (0.0, 0.0),
    (1 / 32, 0.26),
    (1 / 16, 0.41),
    (1 / 8, 0.61),
    (1 / 4, 0.79),
    (1 / 2, 0.89),
    (1.0, 1.0),
)
_ROUTED_EXPERTS = 128
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)}
_NAME = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_EXPERTS = re.compile(r"blk\.(\d+)\.ffn_(?:gate|up|down|gate_up)_exps\.weight")


@dataclass(frozen=True, slots=True)
class ExpertLayer:
    """The tensors of one layer that hold a slice of equal size for each expert."""

    tensors: tuple[TensorInfo, ...]
    experts: int
    used: int  # experts that one token uses

    @property
    def expert_bytes(self) -> int:
        """Memory of one expert, with the pages at the ends of its slices."""
        return sum(page_up(each.nbytes // self.experts) + PAGE for each in self.tensors)

    @property
    def nbytes(self) -> int:
        return self.expert_bytes * self.experts


def expert_layers(header: ModelHeader) -> tuple[ExpertLayer, ...]:
    """The layers whose experts can be read one by one, in the order of the computation."""
    used = _experts_used(header)
    if not 0 < used <= header.experts:
        return ()
    layers: dict[int, list[TensorInfo]] = {}
    for each in header.tensors:
        found = _EXPERTS.fullmatch(each.name)
        sliced = len(each.shape) == 3 and each.shape[-1] == header.experts
        if found is not None and sliced and each.nbytes % header.experts == 0:
            layers.setdefault(int(found[1]), []).append(each)
    return tuple(ExpertLayer(tuple(layers[n]), header.experts, used) for n in sorted(layers))


def _experts_used(header: ModelHeader) -> int:
    """The number of experts that one token uses; the largest of any layer."""
    value = header.metadata.get(f"{header.architecture}.expert_used_count", 0)
    counts = value if isinstance(value, tuple) else (value,)
    return max((each for each in counts if isinstance(each, int)), default=0)


def slice_read_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The size of the reads that fetch one expert's slice of a tensor; that of others without."""
    slices = [page_up(each.nbytes // layer.experts) for layer in layers for each in layer.tensors]
    return min(READ_BYTES, round(sum(slices) / len(slices) / PAGE) * PAGE) if slices else READ_BYTES


def least_cache_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The smallest cache: it holds the experts that one token uses in any layer."""
    return max((layer.used * layer.expert_bytes for layer in layers), default=0)


def cache_bytes(layers: Sequence[ExpertLayer], most: int, spare: int) -> int:
    """The size of the cache: one whole layer as far as `most` allows, or all `spare` bytes."""
    largest = max((each.nbytes for each in layers), default=0)
    wanted = max(min(largest, most), spare)
    return min(wanted, sum(each.nbytes for each in layers))


def edge_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The pages that expert tensors share with their neighbours in the file; they stay resident."""
    return sum(2 * PAGE * len(layer.tensors) for layer in layers)


def tokens_at_once(layers: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """The largest batch whose experts always fit into the cache; 0 where a whole layer fits."""
    if all(layer.nbytes <= cache_bytes for layer in layers):
        return 0
    return min(cache_bytes // (layer.used * layer.expert_bytes) for layer in layers)


def cycle_bytes(layers: Sequence[ExpertLayer]) -> int:
    """The experts that one token uses in all layers."""
    return sum(layer.used * layer.expert_bytes for layer in layers)


def cache_strategy(
    layers: Sequence[ExpertLayer], cache_bytes: int, wanted: CacheStrategy
) -> CacheStrategy:
    """The policy of a cache of this size, never `auto`.

    A cache that does not hold the experts of one token has always evicted by their last use what
    the next token needs: it would never have a hit. Then they are kept by the number of uses.
    """
    useless = wanted is CacheStrategy.LRU and cache_bytes < cycle_bytes(layers)
    return CacheStrategy.LFU if useless or wanted is CacheStrategy.AUTO else wanted


def expert_reads(layers: Sequence[ExpertLayer], cache_bytes: int) -> int:
    """Bytes of experts expected to be read for each token.

    The hits are those on recorded routes where the layers have as many experts as there, and those
    of uniform routing where they have fewer.
    """
    whole = sum(layer.nbytes for layer in layers)
    if not whole:
        return 0
    share = min(1.0, cache_bytes / whole)
    hits = share
    if min(layer.experts for layer in layers) >= _ROUTED_EXPERTS:
        (low, below), (high, above) = next(pair for pair in pairwise(_HITS) if share <= pair[1][0])
        hits = below + (above - below) * (share - low) / (high - low)
    return round(cycle_bytes(layers) * (1 - hits))


@dataclass(frozen=True, slots=True)
class Residency:
    """The names of pinned and streamed weights, and the sizes of their memory.

    `streamed` is in the order of the computation.
    """

    pinned: tuple[str, ...]
    streamed: tuple[str, ...]
    slots: int
    slot_bytes: int
    pinned_mib: float
    slots_mib: float
    streamed_mib: float  # read for each token; of experts as many as is expected
    embedding_on_disk: bool  # its rows are read when a token needs them
    experts_bytes: int = 0  # capacity of the expert cache; 0 without experts
    expert_reads_mib: float = 0.0  # part of `streamed_mib`
    tokens_at_once: int = 0  # the largest batch that the expert cache allows; 0: any

    @property
    def ring_bytes(self) -> int:
        """Size of the ring that streamed weights pass through; a page where there are none."""
        return max(PAGE, self.slots * self.slot_bytes)

    @property
    def experts_mib(self) -> float:
        return self.experts_bytes / MIB

    @property
    def total_mib(self) -> float:
        return self.pinned_mib + self.slots_mib + self.experts_mib


def plan_residency(
    header: ModelHeader, weights_mib: float, *, chunk_bytes: int = CHUNK_BYTES
) -> Residency:
    """Pin what fits into `weights_mib`, slots included; stream the rest evenly over the layers.

    Slots are whole chunks. Where the budget is too small, it is the smallest residency there is.
    """
    mixture, layers, fixed, always_bytes, everything, largest_bytes = _parts(header)
    candidates = [each for layer in layers for each in layer]
    slot_bytes = _slot_bytes(largest_bytes, chunk_bytes)
    least = LEAST_SLOTS * slot_bytes + least_cache_bytes(mixture)
    spare = max(int(weights_mib * MIB) - always_bytes, least)
    cache = cache_bytes(mixture, spare - LEAST_SLOTS * slot_bytes, spare - everything)
    spare -= cache
    slots = 0 if mixture and everything <= spare else _slot_count(candidates, slot_bytes, spare)
    spare -= slots * slot_bytes
    pins = {each.name for each in candidates} if everything <= spare else _pins(layers, spare)
    pinned_bytes = always_bytes + sum(_resident_bytes(e) for e in candidates if e.name in pins)
    streamed = [each for each in candidates if each.name not in pins]
    pins |= {each.name for each in fixed}
    reads_mib = expert_reads(mixture, cache) / MIB
    return Residency(
        pinned=tuple(each.name for each in header.tensors if each.name in pins),
        streamed=tuple(each.name for each in streamed),
        slots=slots,
        slot_bytes=slot_bytes,
        pinned_mib=pinned_bytes / MIB,
        slots_mib=slots * slot_bytes / MIB,
        streamed_mib=sum(each.nbytes for each in streamed) / MIB + reads_mib,
        embedding_on_disk=_embedding_on_disk(header),
        experts_bytes=cache,
        expert_reads_mib=reads_mib,
        tokens_at_once=tokens_at_once(mixture, cache),
    )


def least_weights_mib(header: ModelHeader, *, chunk_bytes: int = CHUNK_BYTES) -> float:
    """The smallest budget for weights: two slots beside what cannot be streamed."""
    parts = _parts(header)
    slots_bytes = LEAST_SLOTS * _slot_bytes(parts.largest_bytes, chunk_bytes)
    return (parts.always_bytes + slots_bytes + least_cache_bytes(parts.mixture)) / MIB


def streamable(header: ModelHeader) -> tuple[str, ...]:
    """The names of all weights that may stream, in the order of the computation."""
    return tuple(each.name for layer in _layers(header) for each in layer)


def _embedding_on_disk(header: ModelHeader) -> bool:
    return header.has_output and any(each.name == EMBEDDING for each in header.tensors)


class _Parts(NamedTuple):
    """The weights of a model by what becomes of them, and the memory of all of a kind."""

    mixture: tuple[ExpertLayer, ...]
    layers: list[list[TensorInfo]]
    fixed: list[TensorInfo]
    always_bytes: int  # of what is in memory with any budget: `fixed`, edges of experts, some rows
    layers_bytes: int
    largest_bytes: int  # of the layers' weights


@once_per_header
def _parts(header: ModelHeader) -> _Parts:
    mixture = expert_layers(header)
    layers, fixed = _split(header, mixture)
    sizes = [_resident_bytes(each) for layer in layers for each in layer]
    always = sum(map(_resident_bytes, fixed)) + edge_bytes(mixture)
    always += EMBEDDING_BYTES if _embedding_on_disk(header) else 0
    return _Parts(mixture, layers, fixed, always, sum(sizes), max(sizes, default=0))


def _split(
    header: ModelHeader, mixture: Sequence[ExpertLayer]
) -> tuple[list[list[TensorInfo]], list[TensorInfo]]:
    """The weights of every token: those that may stream, by layer, and those that may not."""
    experts = {each.name for layer in mixture for each in layer.tensors}
    layers = [[each for each in layer if each.name not in experts] for layer in _layers(header)]
    elsewhere = experts | {each.name for layer in layers for each in layer}
    if _embedding_on_disk(header):
        elsewhere.add(EMBEDDING)
    return layers, [each for each in header.tensors if each.name not in elsewhere]


def _layers(header: ModelHeader) -> list[list[TensorInfo]]:
    """The weights that may stream, by layer, in the order of the computation."""
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
    """Memory of a weight, with the pages at its ends that it shares with its neighbours."""
    return page_up(tensor.nbytes) + PAGE


def _slot_bytes(most: int, chunk_bytes: int) -> int:
    """The size of a slot: the largest weight, in whole chunks where it is larger than one."""
    return ceil(most / chunk_bytes) * chunk_bytes if most > chunk_bytes else page_up(most)


def _slot_count(candidates: Sequence[TensorInfo], slot_bytes: int, spare: int) -> int:
    """The number of slots for which a pass takes the least time.

    Few slots stall the drive, many leave less memory to pin weights in. The computation uses one
    slot while the drive fills the others.
    """
    if not candidates:
        return 0
    everything = sum(map(_resident_bytes, candidates))

    def pass_cost(slots: int) -> float:
        streamed = max(everything - spare + slots * slot_bytes, 0)
        return streamed * (1 + _QUEUE_BYTES / ((slots - 1) * slot_bytes))

    fitting = spare // slot_bytes
    most = min(fitting, max(_SLOTS, everything // _SLOTS_SHARE // slot_bytes))
    return min(range(min(fitting, _SLOTS), most + 1), key=pass_cost)


def _pins(layers: Sequence[Sequence[TensorInfo]], spare: int) -> set[str]:
    """Names of the weights to pin: in each layer the small ones first, then the largest that fit.

    What a layer leaves of its share goes to the next layer.
    """
    pinned: set[str] = set()
    left = 0.0
    for layer in layers:
        left += max(spare, 0) / len(layers)
        for each in sorted(layer, key=_pin_rank):
            if _resident_bytes(each) <= left:
                pinned.add(each.name)
                left -= _resident_bytes(each)
    others = [each for layer in layers for each in layer if each.name not in pinned]
    for each in sorted(others, key=_pin_rank):
        if _resident_bytes(each) <= left:
            pinned.add(each.name)
            left -= _resident_bytes(each)
    return pinned


def _pin_rank(tensor: TensorInfo) -> tuple[bool, int]:
    return tensor.nbytes > _SHORT_READ_BYTES, -tensor.nbytes

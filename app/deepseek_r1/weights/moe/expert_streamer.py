"""Streams a mixture's experts while the graph is computed: reads the routing, then the experts.

A matrix product with experts (ggml's MUL_MAT_ID) has the routing as its third operand: a tensor of
32-bit integers with a row for each token. It has to be computed, and the graph stopped behind it,
before the product is asked for. Node names are not guaranteed: at first the graph is stopped behind
every tensor of integers; once the products have shown which of them are routings, only behind
tensors of those names (`ffn_moe_topk` in llama.cpp's graphs of today). A routing that was missed is
an error.
"""

import ctypes
from collections import Counter
from collections.abc import Mapping

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, Ggml, word_at
from deepseek_r1.weights.moe.expert_cache import ExpertCache
from deepseek_r1.weights.residency import MIB
from deepseek_r1.weights.weight import Weight

_MOST_REMEMBERED = 4096  # graphs are rebuilt at other addresses


class ExpertStreamer:
    """Moves experts between memory and disk. For the computing thread."""

    def __init__(self, cache: ExpertCache, ggml: Ggml) -> None:
        self.cache, self._ggml, self._fields = cache, ggml, ggml.fields
        self._ready_layer: int | None = None  # the layer whose experts are in place
        self._names: set[str] = set()  # of routings, without the layer's number
        self._computed: set[int] = set()  # nodes behind which the graph was stopped

    def stops_at(self, node: int) -> bool:
        """Whether the node, or its routing, has to be known before the next one is asked for."""
        if word_at(node) & 0xFFFFFFFF != TYPE_I32:
            return False
        if self._names and self._name(node) not in self._names:
            self._computed.discard(node)
            return False
        if len(self._computed) > _MOST_REMEMBERED:
            self._computed.clear()
        self._computed.add(node)
        self._ready_layer = None
        return True

    def _name(self, node: int) -> str:
        return self._ggml.name(node).rpartition("-")[0]

    def provide(self, node: int, weight: Weight) -> None:
        """Make the experts that a product uses of a tensor resident.

        Raises ExpertCacheTooSmallError, WeightsUnreadableError; StreamingUnavailable where the
        graph was not stopped behind the routing, TypeError or ValueError for an impossible one.
        """
        layer = self.cache.layer_of(weight)
        if layer == self._ready_layer:
            return
        routing = word_at(node + self._fields.sources + 16)
        if routing not in self._computed:
            raise StreamingUnavailable(detail=f"the routing of {weight.name} was not found")
        self._names.add(self._name(routing))
        self.cache.require(layer, self._uses(routing))
        self._ready_layer = layer

    def _uses(self, chosen: int) -> Mapping[int, int]:
        """The experts that a routing names, each with the number of its tokens."""
        used, tokens = (word_at(chosen + self._fields.extent + 8 * i) for i in range(2))
        each, row = (word_at(chosen + self._fields.strides + 8 * i) for i in range(2))
        if each != ctypes.sizeof(ctypes.c_int32):
            raise TypeError("the routing tensor is laid out in another way")
        counts: Counter[int] = Counter()
        data = word_at(chosen + self._fields.data)
        for token in range(tokens):
            counts.update((ctypes.c_int32 * used).from_address(data + token * row))
        experts = self.cache.experts
        if not all(0 <= expert < experts for expert in counts):
            raise ValueError(f"the routing names experts beyond the {experts} of the model")
        return counts

    def add_to(self, stats: WeightsStats, reads_mib: float) -> WeightsStats:
        """The counters with those of the experts. `reads_mib` is expected for each token."""
        cache, kept = self.cache, self.cache.resident_set
        return stats.model_copy(
            update={
                "pinned_mib": stats.pinned_mib + kept.nbytes / MIB,
                "experts_mib": kept.nbytes / MIB,
                "streamed_mib": stats.streamed_mib + reads_mib,
                "read_mib": stats.read_mib + cache.read_bytes / MIB,
                "io_wait_s": stats.io_wait_s + cache.wait_s,
                "hits": stats.hits + kept.hits,
                "misses": stats.misses + kept.misses,
                "expert_hits": kept.hits,
                "expert_misses": kept.misses,
                "strategy": cache.strategy,
            }
        )

    def resize(self, capacity: int) -> None:
        """Change the cache's capacity in bytes, between two computations."""
        self._ready_layer = None
        self.cache.resize(capacity)

    def restart(self) -> None:
        """The computation begins again from its start."""
        self._ready_layer = None

"""Streams a mixture's experts while the graph is computed: reads the routing, then the experts."""

from __future__ import annotations

from deepseek_r1.core import log
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.weights.ggml.tensor_layout import Ggml
from deepseek_r1.weights.moe.expert_cache import ExpertCache
from deepseek_r1.weights.moe.resident_set import ExpertCacheTooSmallError
from deepseek_r1.weights.moe.routing import RoutingReader
from deepseek_r1.weights.placement.residency import MIB
from deepseek_r1.weights.weight import Weight


class ExpertStreamer:
    """Moves experts between memory and disk. For the computing thread."""

    def __init__(self, cache: ExpertCache, ggml: Ggml) -> None:
        self.cache = cache
        self.experts_separate = True  # False once a routing was missed: tensors are then read whole
        self._reader = RoutingReader(ggml)
        self._ready_layer: int | None = None  # the layer whose experts are in place

    def stops_at(self, node: int) -> bool:
        """Whether the node may be a routing, so that it has to be computed first."""
        if self.experts_separate and self._reader.stops_at(node):
            self._ready_layer = None
            return True
        return False

    def provide(self, node: int, weight: Weight) -> bool:
        """Make the experts that a product uses of a tensor resident.

        False where the whole tensor has to be read. Raises ExpertCacheTooSmallError,
        WeightsUnreadableError.
        """
        if not self.experts_separate:
            self._check_capacity(weight)
            return False
        layer = self.cache.layer_of(weight)
        if layer == self._ready_layer:
            return True
        routing = self._reader.routing(node, self.cache.experts)
        if routing is None:
            self._read_whole_tensors(weight)
            self._check_capacity(weight)
            return False
        self.cache.require(layer, routing)
        self._ready_layer = layer
        return True

    def _read_whole_tensors(self, weight: Weight) -> None:
        """From now on read every tensor whole: the graph is of an unknown kind.

        Resident experts stay until the nodes that use them are computed.
        """
        log.engine.warning(
            "%s: which experts are needed was not found; all are read for every token", weight.name
        )
        self.experts_separate = False

    def _check_capacity(self, weight: Weight) -> None:
        if weight.nbytes > self.cache.capacity:
            raise ExpertCacheTooSmallError(f"all experts of {weight.name} do not fit at once")

    def add_to(self, stats: WeightsStats, reads_mib: float) -> WeightsStats:
        """The counters with those of the experts. `reads_mib` is expected for each token."""
        cache = self.cache
        whole_mib = sum(each.nbytes for each in cache.weights) / MIB
        return stats.model_copy(
            update={
                "pinned_mib": stats.pinned_mib + cache.nbytes / MIB,
                "experts_mib": cache.nbytes / MIB,
                "streamed_mib": stats.streamed_mib
                + (reads_mib if self.experts_separate else whole_mib),
                "read_mib": stats.read_mib + cache.read_bytes / MIB,
                "io_wait_s": stats.io_wait_s + cache.wait_s,
                "hits": stats.hits + cache.hits,
                "misses": stats.misses + cache.misses,
                "expert_hits": cache.hits,
                "expert_misses": cache.misses,
                "strategy": cache.strategy if self.experts_separate else stats.strategy,
                "experts_separate": self.experts_separate,
            }
        )

    def resize(self, capacity: int) -> None:
        """Change the cache's capacity in bytes, between two computations."""
        self._ready_layer = None
        self.cache.resize(capacity)

    def on_computed(self) -> None:
        """Every node that was provided for is computed."""
        if not self.experts_separate:
            self.cache.evict_all()

    def restart(self) -> None:
        """The computation begins again from its start."""
        self._ready_layer = None

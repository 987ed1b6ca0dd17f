"""A mixture's experts while the graph is computed: the choice is read, then they are fetched."""

from __future__ import annotations

from dataclasses import replace

from deepseek_r1.core import log
from deepseek_r1.weights.expert_cache import ExpertCache
from deepseek_r1.weights.ggml import Ggml
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.residency import MIB
from deepseek_r1.weights.resident_set import SetTooSmallError
from deepseek_r1.weights.router import Router
from deepseek_r1.weights.stats import WeightsStats


class Mixture:
    """The experts of a model that has them, between memory and disk. For the computing thread."""

    def __init__(self, cache: ExpertCache, ggml: Ggml) -> None:
        self.cache = cache
        self.told_apart = True  # False once a choice was not found: then tensors are read whole
        self._router = Router(ggml)
        self._at: int | None = None  # the layer whose experts are in place

    def stops_at(self, node: int) -> bool:
        """Whether the node may yield a choice, so that it has to be computed first."""
        if self.told_apart and self._router.stops_at(node):
            self._at = None
            return True
        return False

    def serve(self, node: int, matrix: Matrix) -> bool:
        """Have in memory what a product needs of a tensor. False where that is all of it.

        Raises SetTooSmallError, WeightsUnreadableError.
        """
        if not self.told_apart:
            self._check_room(matrix)
            return False
        layer = self.cache.layer_of(matrix)
        if layer == self._at:
            return True
        choice = self._router.choice(node, self.cache.experts)
        if choice is None:
            self._give_up(matrix)
            self._check_room(matrix)
            return False
        self.cache.require(layer, choice)
        self._at = layer
        return True

    def _give_up(self, matrix: Matrix) -> None:
        """The graph is not of the kind we know: from now on every tensor is read whole.

        Experts that were fetched stay until what waits for them is computed.
        """
        log.engine.warning(
            "%s: which experts are needed was not found; all are read for every token", matrix.name
        )
        self.told_apart = False

    def _check_room(self, matrix: Matrix) -> None:
        if matrix.nbytes > self.cache.room:
            raise SetTooSmallError(f"all experts of {matrix.name} do not fit at once")

    def added(self, stats: WeightsStats, reads_mib: float) -> WeightsStats:
        """The counters with those of the experts. `reads_mib`: expected for a token."""
        cache = self.cache
        whole_mib = sum(each.nbytes for each in cache.matrices) / MIB
        return replace(
            stats,
            experts_mib=cache.nbytes / MIB,
            streamed_mib=stats.streamed_mib + (reads_mib if self.told_apart else whole_mib),
            read_mib=stats.read_mib + cache.read_bytes / MIB,
            io_wait_s=stats.io_wait_s + cache.wait_s,
            hits=stats.hits + cache.hits,
            misses=stats.misses + cache.misses,
            expert_hits=cache.hits,
            expert_misses=cache.misses,
            strategy=cache.strategy if self.told_apart else stats.strategy,
            told_apart=self.told_apart,
        )

    def resize(self, room: int) -> None:
        """Another room in bytes, between two computations."""
        self._at = None
        self.cache.resize(room)

    def computed(self) -> None:
        """Everything that was served is computed."""
        if not self.told_apart:
            self.cache.empty()

    def restart(self) -> None:
        """The computation begins again from its start."""
        self._at = None

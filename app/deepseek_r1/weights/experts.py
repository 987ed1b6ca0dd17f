"""Streams a mixture's experts: those needed next are read, others are evicted.

An expert's slices lie in the address ranges of its layer's tensors. These are reserved for all
experts, so a tensor looks complete to the computation, but only resident experts cost memory.
Slices begin and end inside pages; a shared page is released with the last expert that reaches into
it.

A matrix product with experts (ggml's MUL_MAT_ID) has the routing as its third operand: a tensor of
32-bit integers with a row for each token. It has to be computed, and the graph stopped behind it,
before the product is asked for. Node names are not guaranteed: at first the graph is stopped behind
every tensor of integers; once the products have shown which of them are routings, only behind
tensors of those names (`ffn_moe_topk` in llama.cpp's graphs of today). A routing that was missed is
an error.
"""

import ctypes
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from deepseek_r1.core.errors import StreamingUnavailable
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.weights.eviction import ResidentSet, make_policy
from deepseek_r1.weights.ggml.tensor_layout import TYPE_I32, Ggml, word_at
from deepseek_r1.weights.residency import MIB, cache_strategy, expert_layers
from deepseek_r1.weights.resident_memory import FileRange, ResidentMemory, coalesced_reads
from deepseek_r1.weights.weight import Weight

_READERS = 4  # the computing thread is one of them
_MOST_MAPPINGS = 32_768  # of 65,530 that Linux allows a process
_MOST_REMEMBERED = 4096  # graphs are rebuilt at other addresses


class ExpertStreamer:
    """Moves experts between memory and disk. For the computing thread.

    A layer's experts are numbered from 0; an expert's key counts those of the layers before too.
    """

    def __init__(
        self,
        header: ModelHeader,
        used: Mapping[str, Weight],
        resident: ResidentMemory,
        ggml: Ggml,
        *,
        capacity: int,
        strategy: CacheStrategy,
    ) -> None:
        """`used` are the weights that the model uses, by name; `capacity` is in bytes.

        `strategy` is the wanted one, see `cache_strategy`.
        """
        self._mixture, self._wanted = expert_layers(header), strategy
        self._layers: list[list[Weight]] = []
        sizes: list[int] = []
        for layer in self._mixture:
            if found := [used[each.name] for each in layer.tensors if each.name in used]:
                self._layers.append(found)
                sizes += [layer.expert_bytes] * header.experts
        self._experts, self._resident = header.experts, resident
        self._strategy = cache_strategy(self._mixture, capacity, strategy)
        policy = make_policy(self._strategy, len(self._layers))
        self._kept = ResidentSet(sizes, capacity, policy)
        self._layer_of = {weight: n for n, layer in enumerate(self._layers) for weight in layer}
        self.weights = frozenset(self._layer_of)
        # Memory that was moved lies in a mapping of its own, and so does what is between.
        self._moves = 2 * self._experts * len(self.weights) <= _MOST_MAPPINGS
        self._pool = ThreadPoolExecutor(_READERS - 1, "weights-experts")
        self.stopped: Callable[[], bool] = lambda: False
        self._read_bytes = 0
        self._wait_s = 0.0
        self._ggml, self._fields = ggml, ggml.fields
        self._ready_layer: int | None = None  # the layer whose experts are in place
        self._names: set[str] = set()  # of routings, without the layer's number
        self._computed: set[int] = set()  # nodes behind which the graph was stopped

    # ---- the graph --------------------------------------------------------------------------

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
        layer = self._layer_of[weight]
        if layer == self._ready_layer:
            return
        routing = word_at(node + self._fields.sources + 16)
        if routing not in self._computed:
            raise StreamingUnavailable(detail=f"the routing of {weight.name} was not found")
        self._names.add(self._name(routing))
        self._require(layer, self._uses(routing))
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
        if not all(0 <= expert < self._experts for expert in counts):
            raise ValueError(f"the routing names experts beyond the {self._experts} of the model")
        return counts

    def restart(self) -> None:
        """The computation begins again from its start."""
        self._ready_layer = None

    # ---- the experts in memory --------------------------------------------------------------

    def _require(self, layer: int, uses: Mapping[int, int]) -> None:
        """Make these experts of a layer resident; `uses` counts the tokens that use each.

        Ends early where `stopped` returns True: some experts are then missing, and the result of
        the computation is not used. Raises ExpertCacheTooSmallError, WeightsUnreadableError.
        """
        keys = {layer * self._experts + expert: tokens for expert, tokens in uses.items()}
        missing, evicted = self._kept.admit(keys)
        self._release(evicted, missing)
        if not missing:
            return
        started = time.perf_counter()
        complete = False
        try:
            complete = self._fetch(missing)
        finally:
            if not complete:
                for key in missing:
                    self._kept.evict(key)
                self._release(missing)
            self._wait_s += time.perf_counter() - started

    def _fetch(self, missing: Sequence[int]) -> bool:
        """Read experts, neighbours together. False where it was stopped."""
        reads = list(coalesced_reads(self._slices(missing)))
        self._read_bytes += sum(end - start for _, start, end in reads)
        shares = [reads[n::_READERS] for n in range(_READERS)]
        running = [self._pool.submit(self._read, share) for share in shares[1:] if share]
        try:
            self._read(shares[0])
        finally:
            wait(running)  # nothing may be released before they end
        for done in running:
            done.result()
        return not self.stopped()

    def _read(self, reads: Sequence[FileRange]) -> None:
        for each in reads:
            if self.stopped():
                return
            self._resident.read(*each)

    def _slices(self, keys: Sequence[int]) -> list[FileRange]:
        found = []
        for key in keys:
            layer, expert = divmod(key, self._experts)
            for weight in self._layers[layer]:
                size = weight.nbytes // self._experts
                start = weight.offset + expert * size
                found.append((weight.part, start, start + size))
        return found

    def _release(self, keys: Sequence[int], missing: Sequence[int] = ()) -> None:
        """Release experts; slices of `missing` ones take the memory of others as large."""
        free: dict[int, list[FileRange]] = {}
        for part in self._slices(keys) if missing and self._moves else ():
            free.setdefault(part[2] - part[1], []).append(part)
        for part in self._slices(missing):
            if found := free.get(part[2] - part[1]):
                self._resident.replace(found.pop(), part)
        for key in keys:
            layer, expert = divmod(key, self._experts)
            for weight in self._layers[layer]:
                first, last = self._own_pages(weight, layer * self._experts, expert)
                self._resident.discard(weight.part, first, last)

    def _own_pages(self, weight: Weight, base: int, expert: int) -> tuple[int, int]:
        """The pages of a slice that it shares with no other resident expert."""
        size = weight.nbytes // self._experts
        start = weight.offset + expert * size
        first, last = page_down(start), page_up(start + size)
        lowest = max((first - weight.offset) // size, 0)
        highest = min((last - 1 - weight.offset) // size, self._experts - 1)
        if first < weight.offset or self._any_resident(base, range(lowest, expert)):
            first += PAGE
        if last > weight.offset + weight.nbytes or self._any_resident(
            base, range(expert + 1, highest + 1)
        ):
            last -= PAGE
        return first, last

    def _any_resident(self, base: int, experts: range) -> bool:
        return any(base + expert in self._kept for expert in experts)

    def resize(self, capacity: int) -> None:
        """Change the capacity in bytes, between two computations; a smaller one acts at once."""
        self._ready_layer = None
        strategy = cache_strategy(self._mixture, capacity, self._wanted)
        if strategy is not self._strategy:
            self._strategy = strategy
            self._kept.replace_policy(make_policy(strategy, len(self._layers)))
        self._release(self._kept.resize(capacity))

    def add_to(self, stats: WeightsStats, reads_mib: float) -> WeightsStats:
        """The counters with those of the experts. `reads_mib` is expected for each token."""
        kept = self._kept
        return stats.model_copy(
            update={
                "pinned_mib": stats.pinned_mib + kept.nbytes / MIB,
                "experts_mib": kept.nbytes / MIB,
                "streamed_mib": stats.streamed_mib + reads_mib,
                "read_mib": stats.read_mib + self._read_bytes / MIB,
                "io_wait_s": stats.io_wait_s + self._wait_s,
                "hits": stats.hits + kept.hits,
                "misses": stats.misses + kept.misses,
                "expert_hits": kept.hits,
                "expert_misses": kept.misses,
                "strategy": self._strategy,
            }
        )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

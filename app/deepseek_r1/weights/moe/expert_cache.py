"""The experts of a mixture that are in memory: those needed next are read, others are evicted.

An expert's slices lie in the address ranges of its layer's tensors. These are reserved for all
experts, so a tensor looks complete to the computation, but only resident experts cost memory.
Slices begin and end inside pages; a shared page is released with the last expert that reaches into
it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.weights.moe.eviction import EvictionPolicy, make_policy
from deepseek_r1.weights.moe.use_counts import UseCounts
from deepseek_r1.weights.residency import cache_strategy, expert_layers
from deepseek_r1.weights.streaming.resident_memory import FileRange, ResidentMemory, coalesced_reads
from deepseek_r1.weights.weight import Weight

_READERS = 4  # the computing thread is one of them
_MOST_MAPPINGS = 32_768  # of 65,530 that Linux allows a process
_Begun = tuple[Sequence[FileRange], Future[None]]


class ExpertCacheTooSmallError(Exception):
    """The experts that are needed at the same time do not fit into the cache."""


@dataclass(frozen=True, slots=True)
class ResidentSetChange:
    """Experts to read (`missing`), once the `evicted` ones have been released."""

    missing: tuple[int, ...]
    evicted: tuple[int, ...]


class ResidentSet:
    """The resident experts by their keys, never more than `capacity` bytes of them."""

    def __init__(self, sizes: Sequence[int], capacity: int, policy: EvictionPolicy) -> None:
        """`sizes` are the bytes of each expert, indexed by its key."""
        self._sizes, self._capacity, self._policy = sizes, capacity, policy
        self._resident: set[int] = set()
        self.nbytes = 0
        self.hits = self.misses = 0

    def __contains__(self, key: int) -> bool:
        return key in self._resident

    def __len__(self) -> int:
        return len(self._resident)

    def admit(self, uses: Mapping[int, int]) -> ResidentSetChange:
        """Make all these experts resident at once; `uses` counts the tokens that use each.

        Raises ExpertCacheTooSmallError.
        """
        missing = tuple(sorted(key for key in uses if key not in self._resident))
        if missing and sum(self._sizes[key] for key in uses) > self._capacity:
            raise ExpertCacheTooSmallError(
                f"{len(uses)} experts do not fit into {self._capacity} bytes"
            )
        self.hits += len(uses) - len(missing)
        self.misses += len(missing)
        self._policy.touch(uses)
        missing_bytes = sum(self._sizes[key] for key in missing)
        evicted = self._shrink(self._capacity - missing_bytes, uses)
        for key in missing:
            self._resident.add(key)
            self._policy.admit(key)
        self.nbytes += missing_bytes
        return ResidentSetChange(missing, evicted)

    def preload(self, uses: Mapping[int, int]) -> tuple[int, ...]:
        """Make those resident, as far as they fit, that were used most; returns them in order.

        Before the first use. The policy begins with these counts.
        """
        self._policy.begin_with(uses)
        chosen: list[int] = []
        for key in sorted(filter(uses.get, uses), key=uses.__getitem__, reverse=True):
            if self.nbytes + self._sizes[key] > self._capacity:
                break
            self._resident.add(key)
            self._policy.admit(key)
            self.nbytes += self._sizes[key]
            chosen.append(key)
        return tuple(chosen)

    def replace_policy(self, policy: EvictionPolicy) -> None:
        """Choose by another policy from now on, which knows nothing of the uses so far."""
        self._policy = policy
        for key in self._resident:
            policy.admit(key)

    def resize(self, capacity: int) -> tuple[int, ...]:
        """Change the capacity; returns the experts to release."""
        self._capacity = capacity
        return self._shrink(capacity, {})

    def _shrink(self, nbytes: int, in_use: Mapping[int, int]) -> tuple[int, ...]:
        evicted = []
        while self.nbytes > nbytes:
            key = self._policy.victim(in_use)
            self.evict(key)
            evicted.append(key)
        return tuple(evicted)

    def evict(self, key: int) -> None:
        """Remove an expert, also one whose read failed."""
        self._resident.remove(key)
        self._policy.evict(key)
        self.nbytes -= self._sizes[key]


class ExpertCache:
    """For the computing thread, between computations. A layer's experts are numbered from 0."""

    def __init__(
        self,
        header: ModelHeader,
        layers: Sequence[Sequence[Weight]],
        capacity: int,
        strategy: CacheStrategy,
        resident: ResidentMemory,
    ) -> None:
        """`layers` are each layer's tensors, which hold a slice of equal size for each expert.

        `capacity` is in bytes; `strategy` the wanted one, see `cache_strategy`.
        """
        self._layers, self.experts, self._resident = layers, header.experts, resident
        self._mixture, self._wanted, self.capacity = expert_layers(header), strategy, capacity
        self.strategy = cache_strategy(self._mixture, capacity, strategy)
        sizes = [
            sum(map(self._slice_bytes, layer)) for layer in layers for _ in range(self.experts)
        ]
        policy = make_policy(self.strategy, len(layers))
        self.resident_set = ResidentSet(sizes, capacity, policy)
        self._layer_of = {weight: n for n, layer in enumerate(layers) for weight in layer}
        self.weights = frozenset(self._layer_of)
        # Memory that was moved lies in a mapping of its own, and so does what is between.
        self._moves = 2 * self.experts * len(self.weights) <= _MOST_MAPPINGS
        self._pool = ThreadPoolExecutor(_READERS - 1, "weights-experts")
        self._early = ThreadPoolExecutor(_READERS - 1, "weights-experts-early")
        self._preloading: dict[int, _Begun] = {}  # by expert, until it is there
        self.counts = UseCounts(header, len(sizes))
        self.stopped: Callable[[], bool] = lambda: False
        self.read_bytes = 0
        self.wait_s = 0.0

    def _slice_bytes(self, weight: Weight) -> int:
        return page_up(weight.nbytes // self.experts) + PAGE

    def layer_of(self, weight: Weight) -> int:
        """Index of the layer that a tensor belongs to."""
        return self._layer_of[weight]

    def preload(self) -> None:
        """Begin to read the experts that earlier answers used most, while nothing else is asked."""
        if self.strategy is CacheStrategy.LFU:
            for key in self.resident_set.preload(dict(enumerate(self.counts.uses))):
                reads = list(coalesced_reads(self._slices([key])))
                read = self._early.submit(self._read_all, reads)
                self._preloading[key] = reads, read
                read.add_done_callback(partial(self._forget, key))

    def _forget(self, key: int, read: Future[None]) -> None:
        if not read.cancelled() and read.exception() is None:
            self._preloading.pop(key, None)

    def _begun(self, keys: Iterable[int]) -> list[_Begun]:
        """The reads of these experts that were begun ahead, for the caller to wait for."""
        return [each for key in keys if (each := self._preloading.pop(key, None)) is not None]

    def require(self, layer: int, uses: Mapping[int, int]) -> None:
        """Make these experts of a layer resident; `uses` counts the tokens that use each.

        Ends early where `stopped` returns True: some experts are then missing, and the result of
        the computation is not used. Raises ExpertCacheTooSmallError, WeightsUnreadableError.
        """
        keys = {layer * self.experts + expert: tokens for expert, tokens in uses.items()}
        change = self.resident_set.admit(keys)
        missing = change.missing
        self._release(change.evicted, missing)
        self.counts.add(keys)
        coming = [key for key in keys if key in self._preloading]
        if not missing and not coming:
            return
        started = time.perf_counter()
        complete = False
        try:
            complete = self._fetch(missing, coming)
        finally:
            if not complete:
                for key in (*missing, *coming):
                    self.resident_set.evict(key)
                self._release((*missing, *coming))
            self.wait_s += time.perf_counter() - started

    def _fetch(self, missing: Sequence[int], coming: Sequence[int]) -> bool:
        """Read experts, neighbours together, and wait for others. False where it was stopped."""
        reads = list(coalesced_reads(self._slices(missing)))
        self.read_bytes += sum(end - start for _, start, end in reads)
        running = []
        for each, read in self._begun(coming):
            if read.cancel() or (read.done() and read.exception() is not None):
                reads += each  # now, and with an error that somebody waits for
            else:
                running.append(read)
        shares = [share for n in range(_READERS) if (share := reads[n::_READERS])]
        running += [self._pool.submit(self._read, share) for share in shares[1:]]
        try:
            self._read(shares[0] if shares else ())
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

    def _read_all(self, reads: Sequence[FileRange]) -> None:
        for each in reads:
            self._resident.read(*each)

    def _slices(self, keys: Sequence[int]) -> list[FileRange]:
        found = []
        for key in keys:
            layer, expert = divmod(key, self.experts)
            for weight in self._layers[layer]:
                size = weight.nbytes // self.experts
                start = weight.offset + expert * size
                found.append((weight.part, start, start + size))
        return found

    def _release(self, keys: Sequence[int], missing: Sequence[int] = ()) -> None:
        """Release experts; slices of `missing` ones take the memory of others as large."""
        wait([read for _, read in self._begun(keys) if not read.cancel()])
        free: dict[int, list[FileRange]] = {}
        for part in self._slices(keys) if missing and self._moves else ():
            free.setdefault(part[2] - part[1], []).append(part)
        for part in self._slices(missing):
            if found := free.get(part[2] - part[1]):
                self._resident.replace(found.pop(), part)
        for key in keys:
            layer, expert = divmod(key, self.experts)
            for weight in self._layers[layer]:
                first, last = self._own_pages(weight, layer * self.experts, expert)
                self._resident.discard(weight.part, first, last)

    def _own_pages(self, weight: Weight, base: int, expert: int) -> tuple[int, int]:
        """The pages of a slice that it shares with no other resident expert."""
        size = weight.nbytes // self.experts
        start = weight.offset + expert * size
        first, last = page_down(start), page_up(start + size)
        lowest = max((first - weight.offset) // size, 0)
        highest = min((last - 1 - weight.offset) // size, self.experts - 1)
        if first < weight.offset or self._any_resident(base, range(lowest, expert)):
            first += PAGE
        if last > weight.offset + weight.nbytes or self._any_resident(
            base, range(expert + 1, highest + 1)
        ):
            last -= PAGE
        return first, last

    def _any_resident(self, base: int, experts: range) -> bool:
        return any(base + expert in self.resident_set for expert in experts)

    def resize(self, capacity: int) -> None:
        """Change the capacity in bytes; a smaller one takes effect at once."""
        self.capacity = capacity
        strategy = cache_strategy(self._mixture, capacity, self._wanted)
        if strategy is not self.strategy:
            self.strategy = strategy
            self.resident_set.replace_policy(make_policy(strategy, len(self._layers)))
        self._release(self.resident_set.resize(capacity))

    def close(self) -> None:
        """End the reader threads, and keep the counts of uses for the next load."""
        for pool in (self._pool, self._early):
            pool.shutdown(wait=True, cancel_futures=True)
        self.counts.save()


def make_expert_cache(
    header: ModelHeader,
    used: Mapping[str, Weight],
    capacity: int,
    strategy: CacheStrategy,
    resident: ResidentMemory,
) -> ExpertCache:
    """The cache of a mixture. `used` are the weights that the model uses, by name; bytes."""
    named = ([used.get(each.name) for each in layer.tensors] for layer in expert_layers(header))
    layers = [found for layer in named if (found := [each for each in layer if each is not None])]
    return ExpertCache(header, layers, capacity, strategy, resident)

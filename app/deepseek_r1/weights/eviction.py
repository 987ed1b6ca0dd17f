"""Which of a mixture's experts are in memory, and the policies that decide which one leaves.

A dense model is read in a fixed cycle, for which nothing beats pinning always the same weights.
Which experts a token uses depends on the text, so other policies can win there;
`docs/measurements/streaming.md` has the hit rate of each beside the best possible one.
"""

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from deepseek_r1.core.settings import CacheStrategy

# An LFU count fades to 50 % in so many passes; measured in docs/measurements/streaming.md.
_DECAY_PASSES: Final = 8.0
_LARGEST: Final = 1e200  # counts are divided before they exceed what a float can hold


class EvictionPolicy:
    """Chooses which expert to evict. Keys are experts; the resident ones were passed to `admit`."""

    def __init__(self) -> None:
        self._resident: dict[int, None] = {}  # in the order of admission

    def touch(self, uses: Mapping[int, int]) -> None:
        """A layer is about to use these experts, resident or not; the values count tokens."""

    def admit(self, key: int) -> None:
        """The expert is resident from now on."""
        self._resident[key] = None

    def victim(self, in_use: Collection[int]) -> int:
        """The resident expert to evict; none that is `in_use`. There must be one."""
        raise NotImplementedError

    def evict(self, key: int) -> None:
        del self._resident[key]


class Pinned(EvictionPolicy):
    """Keeps the experts that came first; the rest of the cache serves all others."""

    def victim(self, in_use: Collection[int]) -> int:
        """The expert that was admitted last."""
        return next(key for key in reversed(self._resident) if key not in in_use)


class LeastRecentlyUsed(EvictionPolicy):
    """Evicts the expert whose last use is the longest ago: uses change the order."""

    def touch(self, uses: Mapping[int, int]) -> None:
        """In one batch, the expert that more tokens use counts as the more recent one."""
        for key in sorted(uses, key=uses.__getitem__):
            if key in self._resident:
                del self._resident[key]
                self._resident[key] = None

    def victim(self, in_use: Collection[int]) -> int:
        return next(key for key in self._resident if key not in in_use)


class LeastFrequentlyUsed(EvictionPolicy):
    """Evicts the expert that the fewest tokens used; old uses count less and less.

    Each use adds more than the one before it, which ranks experts as if all counts decayed. Experts
    that are not resident keep their counts. Between LRU and LFU in Lee et al., "LRFU", 2001.
    """

    def __init__(self, layers: int, decay_passes: float = _DECAY_PASSES) -> None:
        """`layers` calls of `touch` make one pass over the model."""
        super().__init__()
        self._growth = 2.0 ** (1.0 / (decay_passes * max(layers, 1)))
        self._worth = 1.0  # of one use now
        self._counts: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []  # some entries are out of date

    def touch(self, uses: Mapping[int, int]) -> None:
        self._worth *= self._growth
        for key, tokens in uses.items():
            self._counts[key] = self._counts.get(key, 0.0) + self._worth * tokens
            if key in self._resident:
                heappush(self._heap, (self._counts[key], key))
        if self._worth > _LARGEST:
            self._counts = {key: count / self._worth for key, count in self._counts.items()}
            self._worth = 1.0
            self._rebuild_heap()
        elif len(self._heap) > 8 * len(self._resident) + 64:
            self._rebuild_heap()

    def _rebuild_heap(self) -> None:
        self._heap = [(self._counts.get(key, 0.0), key) for key in self._resident]
        heapify(self._heap)

    def admit(self, key: int) -> None:
        super().admit(key)
        heappush(self._heap, (self._counts.get(key, 0.0), key))

    def victim(self, in_use: Collection[int]) -> int:
        current: list[tuple[float, int]] = []
        while True:
            entry = heappop(self._heap)
            count, key = entry
            if key not in self._resident or count != self._counts.get(key, 0.0):
                continue
            current.append(entry)
            if key not in in_use:
                break
        for each in current:
            heappush(self._heap, each)
        return key


def make_policy(strategy: CacheStrategy, layers: int) -> EvictionPolicy:
    """A new policy for a mixture with `layers` layers of experts; its `strategy` is never `auto`.

    Among the policies that know only the past, LFU comes nearest to the best possible hit rate.
    """
    match strategy:
        case CacheStrategy.PINNED:
            return Pinned()
        case CacheStrategy.LRU:
            return LeastRecentlyUsed()
        case CacheStrategy.LFU | CacheStrategy.AUTO:
            return LeastFrequentlyUsed(layers)


class ExpertCacheTooSmallError(Exception):
    """The experts that are needed at the same time do not fit into the cache."""


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

    def admit(self, uses: Mapping[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Make all these experts resident at once; `uses` counts the tokens that use each.

        Returns the experts to read, and those to release before. Raises ExpertCacheTooSmallError.
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
        return missing, evicted

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

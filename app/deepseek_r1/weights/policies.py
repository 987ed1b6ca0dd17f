"""Which experts of a mixture stay in memory: small classes behind one protocol.

A dense model is read in a fixed cycle, for which nothing is better than to keep always the same
weights. Which experts a token needs depends on what is written, so there other ways can win; the
rates of each beside the best possible one are in `docs/design.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

from deepseek_r1.core.settings import CacheStrategy

_HALF_LIFE: Final = 4.0  # of an LFU count, in passes: measured, `tests/bench_experts.py`
_LARGEST: Final = 1e200  # counts are divided before they leave what a float can hold


class CachePolicy(Protocol):
    """Chooses what to give up. Keys are experts; one that is kept was told by `keep`."""

    strategy: CacheStrategy

    def use(self, uses: Mapping[int, int]) -> None:
        """A layer is about to compute with these, each for so many tokens; kept or not."""

    def keep(self, key: int) -> None:
        """The expert is in memory from now on."""

    def victim(self, busy: Collection[int]) -> int:
        """Which of those kept to give up; none that is `busy`. There must be one."""

    def drop(self, key: int) -> None:
        """The expert is in memory no longer."""


class Pinned:
    """What came first stays for ever; everything else passes through the rest."""

    strategy = CacheStrategy.PINNED

    def __init__(self) -> None:
        self._kept: dict[int, None] = {}  # in the order they came

    def use(self, uses: Mapping[int, int]) -> None:
        """Of no meaning here."""

    def keep(self, key: int) -> None:
        """See `CachePolicy`."""
        self._kept[key] = None

    def victim(self, busy: Collection[int]) -> int:
        """The one that came last."""
        return next(key for key in reversed(self._kept) if key not in busy)

    def drop(self, key: int) -> None:
        """See `CachePolicy`."""
        del self._kept[key]


class LeastRecentlyUsed:
    """What was used longest ago goes."""

    strategy = CacheStrategy.LRU

    def __init__(self) -> None:
        self._kept: dict[int, None] = {}  # the newest use last

    def use(self, uses: Mapping[int, int]) -> None:
        """What more tokens asked for counts as the newer one."""
        for key in sorted(uses, key=uses.__getitem__):
            if key in self._kept:
                del self._kept[key]
                self._kept[key] = None

    def keep(self, key: int) -> None:
        """See `CachePolicy`."""
        self._kept[key] = None

    def victim(self, busy: Collection[int]) -> int:
        """The one at the front."""
        return next(key for key in self._kept if key not in busy)

    def drop(self, key: int) -> None:
        """See `CachePolicy`."""
        del self._kept[key]


class LeastFrequentlyUsed:
    """What fewest tokens asked for goes; uses count half as much after a while.

    Each use adds more than the one before it, which orders experts as if all counts faded. Experts
    that are not in memory keep their counts. Between LRU and LFU in Lee et al., "LRFU", 2001.
    """

    strategy = CacheStrategy.LFU

    def __init__(self, layers: int, half_life: float = _HALF_LIFE) -> None:
        """`layers`: how many calls of `use` make one pass over the model."""
        self._growth = 2.0 ** (1.0 / (half_life * max(layers, 1)))
        self._worth = 1.0  # of one use now
        self._counts: dict[int, float] = {}
        self._kept: set[int] = set()
        self._heap: list[tuple[float, int]] = []  # with entries that are out of date

    def use(self, uses: Mapping[int, int]) -> None:
        """See `CachePolicy`."""
        self._worth *= self._growth
        for key, tokens in uses.items():
            self._counts[key] = self._counts.get(key, 0.0) + self._worth * tokens
            if key in self._kept:
                heappush(self._heap, (self._counts[key], key))
        if self._worth > _LARGEST:
            self._counts = {key: count / self._worth for key, count in self._counts.items()}
            self._worth = 1.0
            self._renew()
        elif len(self._heap) > 8 * len(self._kept) + 64:
            self._renew()

    def _renew(self) -> None:
        self._heap = [(self._counts.get(key, 0.0), key) for key in self._kept]
        heapify(self._heap)

    def keep(self, key: int) -> None:
        """See `CachePolicy`."""
        self._kept.add(key)
        heappush(self._heap, (self._counts.get(key, 0.0), key))

    def victim(self, busy: Collection[int]) -> int:
        """The one with the lowest count."""
        passed: list[tuple[float, int]] = []
        while True:
            entry = heappop(self._heap)
            count, key = entry
            if key not in self._kept or count != self._counts.get(key, 0.0):
                continue
            passed.append(entry)
            if key not in busy:
                break
        for each in passed:
            heappush(self._heap, each)
        return key

    def drop(self, key: int) -> None:
        """See `CachePolicy`."""
        self._kept.discard(key)


def make_policy(strategy: CacheStrategy, layers: int) -> CachePolicy:
    """A new policy for a mixture with so many layers of experts; its `strategy` is never `auto`.

    Of those that know only the past, LFU comes nearest to the best possible rate.
    """
    match strategy:
        case CacheStrategy.PINNED:
            return Pinned()
        case CacheStrategy.LRU:
            return LeastRecentlyUsed()
        case CacheStrategy.LFU | CacheStrategy.AUTO:
            return LeastFrequentlyUsed(layers)

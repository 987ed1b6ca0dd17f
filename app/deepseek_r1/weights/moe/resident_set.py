"""Decides which experts of a mixture are in memory. It keeps the counts, not the memory itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepseek_r1.weights.moe.eviction import EvictionPolicy


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
        self._sizes = sizes
        self._capacity = capacity
        self._policy = policy
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

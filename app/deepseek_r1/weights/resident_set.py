"""What of a mixture's experts is in memory: the accounts, without the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepseek_r1.weights.policies import CachePolicy


class SetTooSmallError(Exception):
    """What one step needs at the same time is more than there is room for."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a step makes of the set: read `missing`, after `evicted` were given back."""

    missing: tuple[int, ...]
    evicted: tuple[int, ...]


class ResidentSet:
    """Experts by their keys, never more bytes of them than `room`."""

    def __init__(self, sizes: Sequence[int], room: int, policy: CachePolicy) -> None:
        """`sizes`: the bytes of each expert, by its key."""
        self._sizes = sizes
        self._room = room
        self._policy = policy
        self._kept: set[int] = set()
        self.nbytes = 0
        self.hits = self.misses = 0

    def __contains__(self, key: int) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def step(self, uses: Mapping[int, int]) -> Change:
        """Keep all of these at once, each used by so many tokens. Raises SetTooSmallError."""
        missing = tuple(sorted(key for key in uses if key not in self._kept))
        if missing and sum(self._sizes[key] for key in uses) > self._room:
            raise SetTooSmallError(f"{len(uses)} experts do not fit into {self._room} bytes")
        self.hits += len(uses) - len(missing)
        self.misses += len(missing)
        self._policy.use(uses)
        wanted = sum(self._sizes[key] for key in missing)
        evicted = self._shrink(self._room - wanted, uses)
        for key in missing:
            self._kept.add(key)
            self._policy.keep(key)
        self.nbytes += wanted
        return Change(missing, evicted)

    def resize(self, room: int) -> tuple[int, ...]:
        """Another room; which experts have to be given back for it."""
        self._room = room
        return self._shrink(room, {})

    def _shrink(self, room: int, busy: Mapping[int, int]) -> tuple[int, ...]:
        evicted = []
        while self.nbytes > room:
            key = self._policy.victim(busy)
            self.forget(key)
            evicted.append(key)
        return tuple(evicted)

    def forget(self, key: int) -> None:
        """The expert is not in memory after all."""
        self._kept.remove(key)
        self._policy.drop(key)
        self.nbytes -= self._sizes[key]

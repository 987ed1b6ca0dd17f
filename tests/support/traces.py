"""Choices of experts, one step for each layer, and the best that a cache can make of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.weights.moe.eviction import EvictionPolicy
from deepseek_r1.weights.moe.expert_cache import ResidentSet

Step = tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """`steps` names the experts each step needs, by keys from 0 to `experts` - 1."""

    steps: tuple[Step, ...]
    layers: int
    experts: int  # of all layers together

    def hit_rate(self, policy: EvictionPolicy, capacity: int) -> float:
        """Share of uses that a cache for `capacity` experts has in memory, beginning empty."""
        kept = ResidentSet([1] * self.experts, capacity, policy)
        for step in self.steps:
            kept.admit(dict.fromkeys(step, 1))
        return kept.hits / (kept.hits + kept.misses)


class Belady:
    """The optimum, which knows what comes: gives up what is needed again last (Belady, 1966)."""

    strategy = CacheStrategy.AUTO  # none of those

    def __init__(self, trace: Trace) -> None:
        self._coming: dict[int, list[int]] = defaultdict(list)
        for number, step in reversed(list(enumerate(trace.steps))):
            for key in step:
                self._coming[key].append(number)
        self._never = len(trace.steps)
        self._kept: set[int] = set()

    def touch(self, uses: Mapping[int, int]) -> None:
        for key in uses:
            self._coming[key].pop()

    def admit(self, key: int) -> None:
        self._kept.add(key)

    def victim(self, busy: Collection[int]) -> int:
        return max((key for key in self._kept if key not in busy), key=self._next_use)

    def _next_use(self, key: int) -> int:
        coming = self._coming[key]
        return coming[-1] if coming else self._never

    def evict(self, key: int) -> None:
        self._kept.remove(key)


def popular(
    *, layers: int, experts: int, used: int, tokens: int, skew: float, stay: float, seed: int = 1
) -> Trace:
    """Made choices: each layer's experts differ in popularity by Zipf's law with exponent `skew`.

    An expert that the token before needed is needed again with the chance `stay`; the others are
    drawn by popularity. With 0 for both every choice is equally likely.
    """
    random = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, experts + 1) ** skew
    popularity = [random.permutation(weights) for _ in range(layers)]
    last: list[list[int]] = [[] for _ in range(layers)]
    steps = []
    for _ in range(tokens):
        for layer in range(layers):
            kept = [expert for expert in last[layer] if random.random() < stay]
            chances = popularity[layer].copy()
            chances[kept] = 0.0
            drawn = random.choice(
                experts, used - len(kept), replace=False, p=chances / chances.sum()
            )
            last[layer] = kept + [int(expert) for expert in drawn]
            steps.append(tuple(layer * experts + expert for expert in last[layer]))
    return Trace(tuple(steps), layers, layers * experts)

"""Routes of three trained mixtures, and how a cache would have served them.

`routes.npz` has, for each model, which experts each of its layers used for each token it wrote:
bytes, [token, layer, expert]. They were recorded on a phone on 2026-07-15 and published in
https://github.com/Helldez/BigMoeOnEdge (commit 2d4f2b1, docs/bench-data/2026-07-15-route-trace)
under the Apache licence 2.0, http://www.apache.org/licenses/LICENSE-2.0. Changed: the tokens of the
prompt, weights and sizes are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepseek_r1.weights.eviction import EvictionPolicy, ResidentSet

ROUTED_EXPERTS = 128  # of each layer of the three models
MODELS = {"qwen": "Qwen3-30B-A3B", "gemma": "Gemma-4-26B-A4B", "gptoss": "gpt-oss-120b"}
Step = tuple[int, ...]


def recorded(model: str) -> np.ndarray:
    """The routes of a model of `MODELS`."""
    return np.load(Path(__file__).with_name("routes.npz"))[model]


@dataclass(frozen=True)
class Trace:
    """`steps` names the experts each step needs, by keys from 0 to `experts` - 1."""

    steps: tuple[Step, ...]
    layers: int
    experts: int  # of all layers together

    def hit_rate(self, policy: EvictionPolicy, capacity: int) -> float:
        """Share of uses that a cache for `capacity` experts has in memory. It begins empty."""
        kept = ResidentSet([1] * self.experts, capacity, policy)
        for step in self.steps:
            kept.admit(dict.fromkeys(step, 1))
        return kept.hits / (kept.hits + kept.misses)


def trace(routes: np.ndarray) -> Trace:
    """The trace of these tokens' routes."""
    _tokens, layers, used = routes.shape
    keys = routes.astype(int) + ROUTED_EXPERTS * np.arange(layers)[:, None]
    steps = tuple(tuple(step) for step in keys.reshape(-1, used).tolist())
    return Trace(steps, layers, layers * ROUTED_EXPERTS)


class Belady:
    """The optimum, which knows what comes: gives up what is needed again last (Belady, 1966)."""

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

"""Replay the routes of three trained mixtures: which share of their uses would be in memory?

    .venv/bin/python bench/replay_routes.py

For caches of a share of all experts: LRU, our policy, the best possible one; and the experts that a
pass over several tokens uses and reads, beside those of one token.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.weights.eviction import LeastRecentlyUsed, ResidentSet, make_policy
from support.routes import MODELS, Belady, Trace, recorded, trace

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2)


def lfu(steps: Trace, share: float) -> float:
    """Our policy's hit rate."""
    policy = make_policy(CacheStrategy.AUTO, steps.layers)
    return steps.hit_rate(policy, int(share * steps.experts))


def read_for_passes(routes: np.ndarray, rows: int, share: float) -> tuple[float, float]:
    """Experts that a pass over so many tokens uses, and those that it reads."""
    steps = trace(routes)
    kept = ResidentSet(
        [1] * steps.experts,
        int(share * steps.experts),
        make_policy(CacheStrategy.AUTO, steps.layers),
    )
    passes = len(routes) // rows
    for first in range(0, passes * rows, rows):
        tokens = [
            steps.steps[n * steps.layers : (n + 1) * steps.layers]
            for n in range(first, first + rows)
        ]
        for layer in zip(*tokens, strict=True):
            kept.admit(dict.fromkeys({key for step in layer for key in step}, 1))
    return (kept.hits + kept.misses) / passes, kept.misses / passes


def main() -> None:
    """Print the tables."""
    for model, name in MODELS.items():
        routes = recorded(model)
        steps = trace(routes)
        print(name)
        for share in SHARES:
            capacity = int(share * steps.experts)
            lru = steps.hit_rate(LeastRecentlyUsed(), capacity)
            best = steps.hit_rate(Belady(steps), capacity)
            print(f"  {share:6.1%}: lru {lru:.3f}, ours {lfu(steps, share):.3f}, best {best:.3f}")
        used, read = read_for_passes(routes, 1, 0.25)
        for rows in (2, 4, 7):
            more, more_read = read_for_passes(routes, rows, 0.25)
            print(
                f"  a pass of {rows} tokens uses {more / used:.2f} and reads {more_read / read:.2f}"
            )


if __name__ == "__main__":
    main()

"""How often experts of a mixture are in memory: the cache's strategies beside the best possible.

    .venv/bin/python tests/benchmarks/bench_experts.py [--json] [--share 0.25]
        [--tokens 250] [--quick]

Four traces of choices go through the application's own policies, and through Belady's algorithm,
which knows the future and which no policy can beat. `recorded`: a mixture cut out of the starter
model (`tests/support/upcycled.py`) reads three texts, one token at a time. `popular`: made, with
Zipf's law and tokens that need again what the token before needed. `even`: every expert is equally
likely, and nothing can be known. For the recorded trace the mixture then runs with a real cache of
that size: the rate the engine counts has to be the one of the replay.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.weights.moe.eviction import make_policy
from deepseek_r1.weights.placement.expert_layout import expert_layers
from deepseek_r1.weights.placement.residency import MIB, plan_residency
from support.streaming import budgets
from support.traces import Belady, Trace, popular, run_mixture
from support.upcycled import EXPERTS, upcycled

STRATEGIES = (CacheStrategy.PINNED, CacheStrategy.LRU, CacheStrategy.LFU)
TEXTS = ("docs/design.md", "app/deepseek_r1/weights/placement/residency.py", "README.zh-CN.md")


def rates(trace: Trace, share: float) -> dict[str, float]:
    """The hit rate of each policy and of the optimum, with a cache for a share of the experts."""
    room = round(trace.experts * share)
    found = {
        strategy.value: trace.hit_rate(make_policy(strategy, trace.layers), room)
        for strategy in STRATEGIES
    }
    return found | {"optimum": trace.hit_rate(Belady(trace), room)}


def made(tokens: int) -> dict[str, Trace]:
    """Traces that need no model: 8 layers with 64 experts, of which 6 are used."""
    shape = {"layers": 8, "experts": 64, "used": 6, "tokens": tokens}
    return {
        "popular (Zipf 1.0, 40 % stay)": popular(**shape, skew=1.0, stay=0.4),
        "popular (Zipf 0.7, 30 % stay)": popular(**shape, skew=0.7, stay=0.3),
        "even": popular(**shape, skew=0.0, stay=0.0),
    }


def budget_for(path: Path, share: float) -> float:
    """MiB for all weights under which the cache has room for this share of the experts."""
    header = read_header(path)
    wanted = share * sum(layer.nbytes for layer in expert_layers(header)) / MIB
    low, high = budgets(path)[0], budgets(path)[-1]
    while high - low > 0.001:
        middle = (low + high) / 2
        if plan_residency(header, middle).experts_mib < wanted:
            low = middle
        else:
            high = middle
    return high


def measure(share: float, tokens: int) -> dict[str, dict[str, float]]:
    """A row for each trace; for the recorded one also what the engine itself counts."""
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = upcycled(starter_model(), Path(folder) / "mixture.gguf")
        layers = len(expert_layers(read_header(path)))
        texts = [(ROOT / name).read_text(encoding="utf-8") for name in TEXTS]
        shape = {"layers": layers, "experts": EXPERTS}
        whole = run_mixture(path, texts, tokens, strategy=CacheStrategy.LRU, **shape)
        table["recorded"] = rates(whole.trace, share)
        mib = budget_for(path, share)
        row: dict[str, float] = {}
        for strategy in STRATEGIES:
            run = run_mixture(path, texts, tokens, strategy=strategy, weights_mib=mib, **shape)
            row[strategy.value] = run.hit_rate
            row[f"{strategy.value} tok/s"] = run.tokens_s
        table["counted by the engine"] = row
    for name, trace in made(tokens).items():
        table[name] = rates(trace, share)
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--share", type=float, default=0.25, help="of the experts in memory")
    parser.add_argument("--tokens", type=int, default=250, help="of each text")
    parser.add_argument("--quick", action="store_true", help="60 tokens of each text")
    chosen = parser.parse_args()
    table = measure(chosen.share, 60 if chosen.quick else min(chosen.tokens, 250))
    if chosen.json:
        print(json.dumps(table))
        return
    print(f"Cache for {chosen.share:.0%} of the experts; share of uses that were in memory:\n")
    print(f"{'trace':32}" + "".join(f"{name:>9}" for name in ("pinned", "lru", "lfu", "optimum")))
    for name, row in table.items():
        cells = (row.get(each) for each in ("pinned", "lru", "lfu", "optimum"))
        print(f"{name:32}" + "".join(f"{'' if v is None else f'{v:.3f}':>9}" for v in cells))


if __name__ == "__main__":
    main()

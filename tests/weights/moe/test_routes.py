"""The policies on the routes of trained mixtures."""

from pathlib import Path

import pytest

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.weights.eviction import LeastRecentlyUsed, make_policy
from deepseek_r1.weights.residency import cache_strategy, cycle_bytes, expert_layers
from support.mixtures import tiny_qwen3moe
from support.routes import MODELS, Belady, Trace, recorded, trace


def lfu_rate(steps: Trace, share: float) -> float:
    policy = make_policy(CacheStrategy.AUTO, steps.layers)
    return steps.hit_rate(policy, int(share * steps.experts))


@pytest.mark.parametrize("model", MODELS)
def test_our_policy_is_between_lru_and_the_best_possible(model: str) -> None:
    steps = trace(recorded(model))
    for share in (0.125, 0.375):
        capacity = int(share * steps.experts)
        lru = steps.hit_rate(LeastRecentlyUsed(), capacity)
        assert lru - 0.001 <= lfu_rate(steps, share) <= steps.hit_rate(Belady(steps), capacity)


def test_a_quarter_of_a_trained_mixture_serves_four_of_five_uses() -> None:
    assert lfu_rate(trace(recorded("qwen")), 0.25) >= 0.80


def test_lru_is_not_used_in_a_cache_below_one_token_where_it_has_no_hit(tmp_path: Path) -> None:
    steps = trace(recorded("qwen"))
    capacity = (steps.layers - 1) * 6  # with the last layer, others' uses return in time
    assert steps.hit_rate(LeastRecentlyUsed(), capacity - 1) == 0
    assert lfu_rate(steps, capacity / steps.experts) > 0.3
    layers = expert_layers(read_header(tiny_qwen3moe(tmp_path / "model.gguf")))
    least, lru = cycle_bytes(layers), CacheStrategy.LRU
    assert cache_strategy(layers, least, lru) is CacheStrategy.LRU
    assert cache_strategy(layers, least - 1, lru) is CacheStrategy.LFU
    assert cache_strategy(layers, least - 1, CacheStrategy.PINNED) is CacheStrategy.PINNED

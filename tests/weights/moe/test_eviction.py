"""The eviction policies: which of a mixture's experts stay resident."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_r1.core.settings import CacheStrategy
from deepseek_r1.weights.eviction import (
    EvictionPolicy,
    ExpertCacheTooSmallError,
    LeastFrequentlyUsed,
    LeastRecentlyUsed,
    Pinned,
    ResidentSet,
    make_policy,
)

EXPERTS = 6
STRATEGIES = [CacheStrategy.PINNED, CacheStrategy.LRU, CacheStrategy.LFU]
steps = st.lists(
    st.sets(st.integers(0, EXPERTS - 1), min_size=1, max_size=2).map(sorted).map(tuple),
    min_size=1,
    max_size=12,
).map(tuple)


def kept_after(policy: EvictionPolicy, capacity: int, *uses: dict[int, int]) -> set[int]:
    resident = ResidentSet([1] * EXPERTS, capacity, policy)
    for each in uses:
        resident.admit(each)
    return {key for key in range(EXPERTS) if key in resident}


def test_pinned_keeps_what_came_first() -> None:
    assert kept_after(Pinned(), 3, {0: 1}, {1: 1}, {2: 1}, {3: 1}, {4: 1}) == {0, 1, 4}


def test_lru_gives_up_what_was_used_longest_ago() -> None:
    assert kept_after(LeastRecentlyUsed(), 3, {0: 1}, {1: 1}, {2: 1}, {0: 1}, {3: 1}) == {0, 2, 3}


def test_lru_keeps_what_most_tokens_of_a_batch_asked_for() -> None:
    assert kept_after(LeastRecentlyUsed(), 3, {0: 9, 1: 1, 2: 5}, {0: 9, 1: 1, 2: 5}, {3: 1}) == {
        0, 2, 3,
    }  # fmt: skip


def test_lfu_gives_up_what_fewest_tokens_asked_for() -> None:
    assert kept_after(LeastFrequentlyUsed(1), 2, {0: 5}, {1: 1}, {2: 1}) == {0, 2}


def test_lfu_counts_decay() -> None:
    """What was popular once goes when others have been used for a while."""
    lately = [{key: 1} for key in (1, 2) * 20]
    assert kept_after(LeastFrequentlyUsed(1, decay_passes=4), 2, {0: 20}, *lately) == {1, 2}
    assert 0 in kept_after(LeastFrequentlyUsed(1, decay_passes=1e6), 2, {0: 200}, *lately)


def test_lfu_counts_stay_finite_for_ever() -> None:
    policy = LeastFrequentlyUsed(1, decay_passes=0.1)
    assert kept_after(policy, 2, *[{n % 5: 1} for n in range(3000)]) == {3, 4}


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(steps=steps, capacity=st.integers(2, EXPERTS), smaller=st.integers(0, EXPERTS))
@settings(max_examples=150)
def test_needed_experts_are_resident_within_the_capacity(strategy, steps, capacity, smaller):
    sizes = [10 + key for key in range(EXPERTS)]
    resident = ResidentSet(sizes, capacity * 15, make_policy(strategy, 2))
    kept: set[int] = set()
    for step in steps:
        missing, gone = map(set, resident.admit(dict.fromkeys(step, 1)))
        assert gone <= kept - set(step)
        assert not missing & kept
        kept = kept - gone | missing
        assert set(step) <= kept == {key for key in range(EXPERTS) if key in resident}
        assert resident.nbytes == sum(sizes[key] for key in kept) <= capacity * 15
    assert resident.hits + resident.misses == sum(map(len, steps))
    evicted = set(resident.resize(smaller * 10))
    assert evicted <= kept
    assert resident.nbytes == sum(sizes[key] for key in kept - evicted) <= smaller * 10


def test_a_step_that_does_not_fit_changes_nothing() -> None:
    resident = ResidentSet([1] * EXPERTS, 2, Pinned())
    resident.admit({0: 1})
    with pytest.raises(ExpertCacheTooSmallError):
        resident.admit({1: 1, 2: 1, 3: 1})
    assert (len(resident), 0 in resident) == (1, True)

"""The speed that is expected before a download."""

from __future__ import annotations

from deepseek_r1.catalogue.download_spec import find_known
from deepseek_r1.catalogue.speed import expected_speed

MODEL, FILE = find_known("deepseek-r1-distill-qwen-1.5b/Q4_K_M")
FAST_MIB_S = 60_000.0  # the memory of the machine it was measured on


def test_the_measured_speed_lies_in_the_range() -> None:
    """23 and 30 tokens a second were measured with two threads."""
    expected = expected_speed(MODEL, FILE, FAST_MIB_S, threads=2)
    assert expected.least_tok_s < 23
    assert expected.most_tok_s > 30
    assert expected.most_tok_s < 3 * expected.least_tok_s


def test_slow_memory_bounds_many_cores_and_few_cores_bound_fast_memory() -> None:
    slow = expected_speed(MODEL, FILE, 10_000.0, threads=8)
    assert slow == expected_speed(MODEL, FILE, 10_000.0, threads=16)
    few = expected_speed(MODEL, FILE, 1e6, threads=1)
    assert few.most_tok_s * 2 == expected_speed(MODEL, FILE, 1e6, threads=2).most_tok_s


def test_a_model_of_twice_the_bytes_is_half_as_fast() -> None:
    large = expected_speed(*find_known("deepseek-r1-distill-qwen-7b/Q4_K_M"), FAST_MIB_S, 2)
    small = expected_speed(MODEL, FILE, FAST_MIB_S, threads=2)
    assert 3.5 < small.most_tok_s / large.most_tok_s < 5

"""Drafts are looked up behind the longest repetition, as far as they are worth it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.engine.llama.speculative.prompt_lookup import (
    MOST_TOKENS,
    PromptLookup,
    SuffixAutomaton,
)
from deepseek_r1.engine.llama.speculative.proposer import PassTimes
from deepseek_r1.memory.plan import LOOKUP_MIB
from support.distribution import passes

FREE_ROWS = passes({1: 1.0})
DEAR_ROWS = passes({rows: 1 + (rows - 1) / 5 for rows in range(1, 17)})


def looked_up(text: list[int], most: int = 15, *, times: PassTimes = FREE_ROWS) -> list[int]:
    lookup = PromptLookup()
    lookup.begin(text, reproducible=True)
    return list(lookup.propose(times, most).tokens)


def test_what_followed_on_the_same_tokens_is_drafted() -> None:
    assert looked_up([1, 2, 3, 4, 5, 6, 1, 2, 3], 4) == [4, 5, 6, 1]
    assert looked_up([1, 2, 3, 4, 5, 6, 1, 2, 3], 2) == [4, 5]


def test_the_longest_match_counts_and_of_equal_ones_the_last() -> None:
    assert looked_up([1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3], 1) == [8]
    assert looked_up([9, 1, 2, 3, 7, 4, 1, 2, 3, 8, 9, 1, 2, 3], 1) == [7]


def test_a_repetition_that_reaches_into_the_end_goes_round() -> None:
    assert looked_up([5, 6, 5, 6, 5, 6], 5) == [5, 6, 5, 6, 5]


@pytest.mark.parametrize("text", [[], [1], [1, 2], [1, 2, 3, 4], [1, 2, 3, 1]])
def test_nothing_is_drafted_where_nothing_repeats(text: list[int]) -> None:
    assert looked_up(text) == []


def test_longer_matches_bring_longer_drafts() -> None:
    """With rows that cost something, a short match is worth less than a long one."""
    text = list(range(40))
    short, long = (looked_up([*text, *text[:matched]], times=DEAR_ROWS) for matched in (3, 20))
    assert 0 <= len(short) < len(long)


def test_nothing_is_drafted_where_a_row_costs_as_much_as_a_token() -> None:
    dear = passes({rows: float(rows) for rows in range(1, 17)})
    assert looked_up([*range(9), *range(8)], times=dear) == []


def test_earlier_answers_are_looked_up_unless_the_answer_must_be_reproducible() -> None:
    lookup, times = PromptLookup(), FREE_ROWS
    lookup.begin([1, 2, 3], reproducible=False)
    lookup.observe([4, 5, 6, 7, 8])
    lookup.begin([9, 4, 5, 6], reproducible=False)
    assert lookup.propose(times, 2).tokens == (7, 8)
    lookup.begin([9, 4, 5, 6], reproducible=True)
    assert lookup.propose(times, 2).tokens == ()


def test_a_draft_never_reaches_into_another_conversation() -> None:
    lookup, times = PromptLookup(), FREE_ROWS
    lookup.begin([1, 2, 3, 4], reproducible=False)
    lookup.begin([7, 8, 9], reproducible=False)
    lookup.observe([3, 4])
    assert lookup.propose(times, 4).tokens == ()


def test_drafts_that_keep_failing_are_given_up_and_tried_again_later() -> None:
    lookup, times = PromptLookup(), DEAR_ROWS
    lookup.begin([*range(9), *range(8)], reproducible=False)
    for _ in range(40):
        lookup.on_verified(lookup.propose(times, 8), 0)
    assert not lookup.propose(times, 8)
    for _ in range(2000):
        lookup.on_plain()
    assert lookup.propose(times, 8)


def test_its_memory_stays_within_the_plan() -> None:
    lookup = PromptLookup()
    lookup.begin([], reproducible=False)
    state = 1
    for _ in range(3 * MOST_TOKENS):  # a text with as many different endings as any
        state = (1103515245 * state + 12345) % (1 << 31)
        lookup.observe([state >> 16 & 1023])
    assert lookup.bytes < 2 * LOOKUP_MIB * (1 << 20)


@given(st.lists(st.integers(0, 2), max_size=60))
def test_the_longest_repeated_end_is_found(text: list[int]) -> None:
    automaton = SuffixAutomaton()
    for token in text:
        automaton.extend(token)
    matched, start = automaton.match()
    ends = [
        length
        for length in range(1, len(text))
        if any(
            text[at : at + length] == text[-length:] for at in range(len(text) - length)
        )
    ]  # fmt: skip
    assert matched == max(ends, default=0)
    if matched:
        assert start < len(text)
        assert text[start - matched : start] == text[-matched:]

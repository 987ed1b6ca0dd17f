"""Drafts from the text, and how long one is: what it brings against what it costs."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.engine.llama.speculative.prompt_lookup import (
    MOST_TOKENS,
    PromptLookup,
    SuffixAutomaton,
)
from deepseek_r1.engine.llama.speculative.proposer import AcceptanceTable, PassTimes
from deepseek_r1.memory.plan import LOOKUP_MIB
from support.distribution import passes

# Two rows cost hardly more than one; eight cost twice what seven do, and sixteen no more than that.
TILED = passes({1: 1.0, 2: 1.1, 3: 1.2, 4: 1.3, 5: 1.4, 6: 1.5, 7: 1.6, 8: 3.2, 16: 3.3})


def test_a_sure_draft_is_as_long_as_can_be_and_a_doubtful_one_is_short() -> None:
    assert TILED.best([0.99] * 15)[0] == 15
    assert 1 <= TILED.best([0.6] * 15)[0] <= 6
    assert TILED.best([0.05] * 15) == (0, 1.0)


def test_the_threshold_of_the_tiled_kernel_is_left_out() -> None:
    """From seven rows to eight the price doubles: lengths of 7 to 10 never pay."""
    lengths = {TILED.best([chance / 100] * 15)[0] for chance in range(100)}
    assert not lengths & {7, 8, 9}
    assert {0, 6, 15} <= lengths


def test_reading_hides_rows() -> None:
    assert (
        PassTimes(streams=True).best([0.8] * 15)[0] > PassTimes(streams=False).best([0.8] * 15)[0]
    )


def test_drafting_that_takes_long_shortens_drafts() -> None:
    free = passes({1: 1.0, 16: 1.0})
    lengths = [free.best([0.8] * 15, draft_s)[0] for draft_s in (0.0, 0.2, 0.5, 0.9)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 15
    assert lengths[-1] == 0


def test_the_times_follow_what_passes_take() -> None:
    times = PassTimes(streams=True)
    times.observe(1, 0.5)
    assert times.plain_s == pytest.approx(0.5)
    assert 0.5 < times.seconds(5) < 1.0
    for _ in range(30):
        times.observe(5, 2.0)
    assert times.seconds(5) == pytest.approx(2.0, rel=0.01)
    assert times.seconds(4) > 1.0


@pytest.mark.parametrize("right", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_drafts_cost_little_where_they_are_wrong_and_save_where_they_are_right(right):
    """A draft model that is sure of everything, and whose tokens are right by chance."""
    chance, table, times = random.Random(7), AcceptanceTable([0.9]), PassTimes(streams=True)
    taken, tokens, token_s = 0.0, 0, 0.1
    while tokens < 5000:
        length, _ = times.best([table.usual] * 15, token_s)
        length = min(length, times.best([table.chance(0)] * 15, token_s)[0])
        kept = next((n for n in range(length) if chance.random() >= right), length)
        taken += times.seconds(1 + length) + length * token_s
        tokens += 1 + kept
        if length:
            table.observe_draft([0] * length, kept)
        else:
            table.fade()
    assert taken / tokens < (1.05 if right < 0.5 else 1.0)
    assert right < 0.8 or taken / tokens < 0.6


FREE_ROWS = passes({1: 1.0})
DEAR_ROWS = passes({rows: 1 + (rows - 1) / 5 for rows in range(1, 17)})


def looked_up(text: list[int], most: int = 15, *, times: PassTimes = FREE_ROWS) -> list[int]:
    lookup = PromptLookup()
    lookup.begin(text, reproducible=True)
    return list(lookup.propose(times, most).tokens)


@pytest.mark.parametrize(
    ("text", "drafted"),
    [
        pytest.param([1, 2, 3, 4, 5, 6, 1, 2, 3], [4, 5, 6, 1], id="what followed"),
        pytest.param([1, 2, 3, 4, 5, 6, 1, 2, 3], [4, 5], id="no more than asked for"),
        pytest.param([1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3], [8], id="the last of equal ones"),
        pytest.param([9, 1, 2, 3, 7, 4, 1, 2, 3, 8, 9, 1, 2, 3], [7], id="the longest match"),
        pytest.param([5, 6, 5, 6, 5, 6], [5, 6, 5, 6, 5], id="round and round"),
    ],
)
def test_what_followed_on_the_same_tokens_is_drafted(text: list[int], drafted: list[int]) -> None:
    assert looked_up(text, len(drafted)) == drafted


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
        lookup.table.observe_draft(lookup.propose(times, 8).buckets, 0)
    assert not lookup.propose(times, 8)
    for _ in range(2000):
        lookup.table.fade()
    assert lookup.propose(times, 8)


def test_its_memory_stays_within_the_plan() -> None:
    lookup = PromptLookup()
    lookup.begin([], reproducible=False)
    state = 1
    for _ in range(3 * MOST_TOKENS):  # a text with as many different endings as any
        state = (1103515245 * state + 12345) % (1 << 31)
        lookup.observe([state >> 16 & 1023])
    automaton = lookup._automaton
    nbytes = 5 * 4 * len(automaton._length) + 4 * len(automaton.text)  # arrays, and dictionaries
    nbytes += 360 * len(automaton._branches)  # of a few transitions each, with their integers
    assert nbytes < 2 * LOOKUP_MIB * (1 << 20)


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

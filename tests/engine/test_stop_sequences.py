"""Stop sequences end a text at the same place, however it was cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.events import AnswerDelta, ThinkingDelta
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.reasoning import StopMatcher


def passed(pieces: list[str], sequences: list[str]) -> tuple[str, str]:
    matcher = StopMatcher(sequences)
    text = "".join(map(matcher.feed, pieces))
    return text + matcher.finish(), matcher.found


@pytest.mark.parametrize(
    ("text", "sequences", "expected"),
    [
        ("one two three", ["two"], ("one ", "two")),
        ("one two three", ["four"], ("one two three", "")),
        ("aab", ["ab"], ("a", "ab")),
        ("xabc", ["abc", "b"], ("xa", "b")),
        ("end of text ##", ["###"], ("end of text ##", "")),
        ("你好。再见", ["。"], ("你好", "。")),
    ],
)
def test_a_text_ends_before_its_first_stop_sequence(text, sequences, expected):
    assert passed([text], sequences) == expected
    assert passed(list(text), sequences) == expected


@given(
    st.text("ab#", max_size=30),
    st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_the_cuts_do_not_matter(text, sequences, cuts):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert passed(pieces, sequences) == passed([text], sequences)


def test_nothing_waits_that_cannot_be_the_beginning_of_a_sequence():
    matcher = StopMatcher(["###"])
    assert matcher.feed("a#b") == "a#b"
    assert matcher.feed("c##") == "c"
    assert matcher.feed("d") == "##d"


def test_the_thinking_may_contain_a_stop_sequence():
    output = GenerationOutput(
        thinking_open=True, started=0.0, sampling=SamplingSettings(stop=("END",))
    )
    events = [
        event
        for piece in (b"the END of a thought", b"</think>", b"an answer EN", b"D more")
        for event in output.on_token(piece)
    ]
    events += output.finish()
    assert output.stopped
    assert "".join(e.text for e in events if isinstance(e, ThinkingDelta)) == "the END of a thought"
    assert "".join(e.text for e in events if isinstance(e, AnswerDelta)) == "an answer "

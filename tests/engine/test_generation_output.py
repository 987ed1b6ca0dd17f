"""The account of an answer: thinking and answer told apart, text that waits, where it stops."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.core.events import (
    FinishReason,
    GenerationEvent,
    ThinkingDelta,
    ThinkingFinished,
)
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.output.reasoning import (
    FORMATS,
    ReasoningSplitter,
    SegmentKind,
    StopMatcher,
    thinking_format,
)
from support.closing_replies import text_of

EVERY_S = 0.05


@dataclass
class Clock:
    """Stands in for `perf_counter`."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def stopped() -> Iterator[Clock]:
    with patch("deepseek_r1.engine.output.generation_output.time.perf_counter", Clock()) as clock:
        yield clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    with stopped() as clock:
        yield clock


def test_a_fast_model_comes_in_fewer_events_with_all_its_text(clock: Clock) -> None:
    output = GenerationOutput(thinking_open=False, started=0.0, text_every_s=EVERY_S)
    events: list[GenerationEvent] = []
    for number in range(100):
        clock.now += 0.01
        events += output.on_token(f"{number} ".encode())
    events += output.finish()
    assert text_of(events) == "".join(f"{number} " for number in range(100))
    assert 20 <= len(events) <= 22
    assert events[-1].completion_tokens == 100


def test_the_first_token_and_a_slow_model_do_not_wait(clock: Clock) -> None:
    output = GenerationOutput(thinking_open=False, started=0.0, text_every_s=EVERY_S)
    for number in range(3):
        assert text_of(list(output.on_token(f"{number} ".encode()))) == f"{number} "
        clock.now += EVERY_S


def summarize(pieces, *, thinking_open, text_every_s):
    """The results of an answer after its end, and of its state after each token."""
    with stopped() as clock:
        output = GenerationOutput(
            thinking_open=thinking_open, started=0.0, text_every_s=text_every_s
        )
        events: list[GenerationEvent] = []
        answering = []
        for piece, token_s in pieces:
            clock.now += token_s
            events += output.on_token(piece)
            answering.append(output.answering)
        events += output.finish()
    finished_s = [event.seconds for event in events if isinstance(event, ThinkingFinished)]
    stats = output.stats(FinishReason.STOP, context_used=0, seed=0, peak_mib=0.0)
    return text_of(events, ThinkingDelta), text_of(events), finished_s, answering, stats


@given(
    texts=st.lists(
        st.sampled_from(["<think>", "</think>", " ", "\n", "a", "b>", "<", "想", "🎉", "\x80"]),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    times=st.lists(st.sampled_from([0.001, 0.02, 0.06]), min_size=1, max_size=5),
    thinking_open=st.booleans(),
)
def test_waiting_changes_neither_texts_nor_times_nor_counts(texts, cuts, times, thinking_open):
    whole = "".join(texts).encode()
    pieces, at = [], 0
    while at < len(whole):
        number = len(pieces)
        size = cuts[number % len(cuts)]
        pieces.append((whole[at : at + size], times[number % len(times)]))
        at += size
    assert summarize(pieces, thinking_open=thinking_open, text_every_s=EVERY_S) == summarize(
        pieces, thinking_open=thinking_open, text_every_s=0.0
    )


SNIPPETS = st.sampled_from(
    ["<think>", "</think>", "<", "</", "think>", ">", "\n", " ", "\n\n", "a", "思考", "`", "```\n"]
)
TEXTS = st.lists(SNIPPETS).map("".join)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def split(text, *, thinking_open=False, places=None):
    """Thinking and answer of `text`, fed in pieces cut at `places`."""
    splitter = ReasoningSplitter(thinking_open=thinking_open)
    pieces = [piece for part in cut(text, places or []) for piece in splitter.feed(part)]
    pieces += splitter.finish()
    return (
        "".join(piece.text for piece in pieces if piece.kind is SegmentKind.THINKING),
        "".join(piece.text for piece in pieces if piece.kind is SegmentKind.ANSWER),
    )


@pytest.mark.parametrize(
    ("text", "thinking_open", "thinking", "answer"),
    [
        pytest.param("<think>\nHm.\n</think>\n\nYes.", False, "Hm.", "Yes.", id="block"),
        pytest.param("Hm.\n</think>\n\nYes.", True, "Hm.", "Yes.", id="opened by the template"),
        pytest.param("<think>\nHm, and", False, "Hm, and", "", id="never closed"),
        pytest.param("<think>\n\n</think>\n\nYes.", False, "", "Yes.", id="empty block"),
        pytest.param("</think>Yes.", True, "", "Yes.", id="closed at once"),
        pytest.param("\n\n<think>Hm.</think>Yes.", False, "Hm.", "Yes.", id="space before"),
        pytest.param("Yes.", False, "", "Yes.", id="no block"),
        pytest.param(
            "Write `<think>` and `</think>`.", False, "", "Write `<think>` and `</think>`.",
            id="inline code",
        ),
        pytest.param(
            "```\n<think>\nx\n</think>\n```", False, "", "```\n<think>\nx\n</think>\n```",
            id="code fence",
        ),
        pytest.param(
            "<think>a</think>b <think>c</think>", False, "a", "b <think>c</think>",
            id="only the first block",
        ),
        pytest.param("<thin", False, "", "<thin", id="half a tag at the end"),
        pytest.param("<think>a</thi", False, "a</thi", "", id="half a closing tag at the end"),
        pytest.param("<think>a < b </ c</think>d", False, "a < b </ c", "d", id="less than"),
        pytest.param("", True, "", "", id="nothing"),
    ],
)  # fmt: skip
def test_what_is_thinking(text: str, thinking_open: bool, thinking: str, answer: str) -> None:
    assert split(text, thinking_open=thinking_open) == (thinking, answer)


@given(TEXTS, st.booleans(), st.lists(st.integers(0, 10_000)))
def test_any_cut_gives_the_same_result(text: str, thinking_open: bool, places: list[int]) -> None:
    whole = split(text, thinking_open=thinking_open)
    assert split(text, thinking_open=thinking_open, places=places) == whole
    assert split(text, thinking_open=thinking_open, places=list(range(len(text)))) == whole


@given(TEXTS, st.booleans())
def test_nothing_is_lost_but_tags_and_the_space_beside_them(text: str, thinking_open: bool) -> None:
    thinking, answer = split(text, thinking_open=thinking_open)
    kept = "".join((thinking + answer).split())
    bare = text.lstrip()
    if not thinking_open and bare.startswith("<think>"):
        bare = bare[len("<think>") :]
    elif not thinking_open:
        assert answer == text
        return
    assert kept == "".join(bare.replace("</think>", "", 1).split())


def test_answer_text_is_never_held_back() -> None:
    splitter = ReasoningSplitter(thinking_open=False)
    splitter.feed("Yes")
    assert [piece.text for piece in splitter.feed(" <think")] == [" <think"]


def test_thinking_is_given_out_while_it_is_written() -> None:
    splitter = ReasoningSplitter(thinking_open=False)
    splitter.feed("<think>")
    assert [piece.text for piece in splitter.feed("Let me see")] == ["Let me see"]


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
    assert passed(cut(text, cuts), sequences) == passed([text], sequences)


def test_nothing_waits_that_cannot_be_the_beginning_of_a_sequence():
    matcher = StopMatcher(["###"])
    assert matcher.feed("a#b") == "a#b"
    assert matcher.feed("c##") == "c"
    assert matcher.feed("d") == "##d"


def test_the_thinking_may_contain_a_stop_sequence():
    output = GenerationOutput(
        thinking_open=True, started=0.0, sampling=SamplingSettings(stop=("END",))
    )
    events: list[GenerationEvent] = []
    for piece in (b"the END of a thought", b"</think>", b"an answer EN", b"D more"):
        events += output.on_token(piece)
    events += output.finish()
    assert output.stopped
    assert text_of(events, ThinkingDelta) == "the END of a thought"
    assert text_of(events) == "an answer "


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.open_tag)
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("thinking", ["first < second", ""])
def test_every_family_s_thinking_is_told_from_its_answer(form, size, thinking):
    begin = form.begin + thinking + form.end if thinking else form.plain
    text = f"{begin}The answer, {form.close_tag} named."
    splitter, parts = ReasoningSplitter(thinking_open=False, form=form), []
    for at in range(0, len(text), size):
        parts += splitter.feed(text[at : at + size])
    parts += splitter.finish()
    assert "".join(p.text for p in parts if p.kind is SegmentKind.THINKING) == thinking
    answer = "".join(p.text for p in parts if p.kind is SegmentKind.ANSWER)
    assert answer == f"The answer, {form.close_tag} named."
    assert thinking_format(f"{{{{ '{form.open_tag}' }}}}") is form

"""Text comes out whole, however the tokens cut its bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.engine.output.detokenizer import Detokenizer, to_utf8

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def decoded(pieces: list[bytes]) -> str:
    detokenizer = Detokenizer()
    return "".join([detokenizer.feed(piece) for piece in pieces] + [detokenizer.finish()])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(TEXTS, st.lists(st.integers(0, 10_000)))
def test_any_cut_gives_the_same_text(text: str, places: list[int]) -> None:
    assert decoded(cut(text.encode(), places)) == text


@given(st.binary(), st.lists(st.integers(0, 10_000)))
def test_bytes_that_are_no_text_never_raise(data: bytes, places: list[int]) -> None:
    assert decoded(cut(data, places)) == data.decode("utf-8", "replace")


def test_a_partial_character_waits_for_its_end() -> None:
    detokenizer = Detokenizer()
    first, rest = "深".encode()[:2], "深".encode()[2:]
    assert detokenizer.feed(first) == ""
    assert detokenizer.feed(rest) == "深"


def test_a_character_cut_off_at_the_end_is_shown_as_such() -> None:
    assert decoded(["🙂".encode()[:3]]) == "\ufffd"


def test_lone_surrogates_have_bytes_too() -> None:
    assert to_utf8("a\ud83d\x00b") == "a\ufffd\x00b".encode()

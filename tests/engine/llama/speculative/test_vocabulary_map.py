"""Vocabularies of a pair are compared token by token; a pair that does not fit is refused."""

from __future__ import annotations

import pytest

from deepseek_r1.core.errors import DraftUnfit
from deepseek_r1.engine.protocol.vocabulary_map import UNMAPPED, VocabularyMap

WORDS = [b"w%d" % number for number in range(100)]


def mapped(target: list[bytes], draft: list[bytes]) -> VocabularyMap:
    return VocabularyMap(target, draft, target_name="big", draft_name="small")


def test_a_token_is_found_by_its_text_whatever_its_id() -> None:
    """As Qwen2.5 and R1: the same words, other control tokens at the same ids."""
    found = mapped([*WORDS, b"<|User|>", b"<|end|>"], [*WORDS, b"<|end|>", b"<|im_start|>"])
    assert list(found.to_target[:100]) == list(range(100))
    assert found.to_target[100] == 101
    assert found.to_target[101] == UNMAPPED
    assert found.to_draft[101] == 100
    assert 0 <= found.to_draft[100] < 100  # a stand-in: the draft model has no such token


def test_padding_is_never_drafted() -> None:
    found = mapped([*WORDS, b"[PAD100]"], [*WORDS, b"[PAD100]", b"[PAD101]"])
    assert list(found.to_target[100:]) == [UNMAPPED, UNMAPPED]


def test_vocabularies_of_two_families_are_refused_by_name() -> None:
    others = [b"x%d" % number for number in range(100)]
    with pytest.raises(DraftUnfit, match="small cannot draft for big") as refused:
        mapped(WORDS, others)
    assert "0%" in str(refused.value)
    shuffled = [*WORDS[50:], *WORDS[:50]]  # the same texts with other ids: cut in another way
    with pytest.raises(DraftUnfit):
        mapped(WORDS, shuffled)

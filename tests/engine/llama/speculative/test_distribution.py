"""Drafts leave the distribution of tokens as it is.

`benchmarks/check_distribution.py` draws more of them.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.distribution import TOKENS, draw_tokens, same_source_p, tiny_pair

_DRAWS = 200
_PROMPT = "My favourite animal is"


@pytest.mark.slow
@pytest.mark.integration
def test_drafted_tokens_are_distributed_as_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    model, temperature = tiny_pair(tmp_path)
    drafted, count = draw_tokens(model, model, _PROMPT, _DRAWS, temperature=temperature, seed=0)
    plain, none = draw_tokens(model, None, _PROMPT, _DRAWS, temperature=temperature, seed=_DRAWS)
    assert (count > _DRAWS, none) == (True, 0)
    for place in range(TOKENS):
        ones, others = (
            [each[place] for each in arm if len(each) > place] for arm in (drafted, plain)
        )
        assert same_source_p(ones, others) > 0.001


def test_the_chi_square_test_tells_samples_apart() -> None:
    chance = random.Random(3)
    ones, same = ([chance.choice("aabbbc") for _ in range(2000)] for _ in range(2))
    other = [chance.choice("aabbcc") for _ in range(2000)]
    assert same_source_p(ones, same) > 0.01
    assert same_source_p(ones, other) < 1e-6

"""Tokens that the sampler leaves out early have next to no probability."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepseek_r1.engine.llama.answer.samplers import NEGLIGIBLE
from deepseek_r1.engine.llama.binding.evaluate import Evaluator
from deepseek_r1.formats.gguf import read_header

# Fixed texts and not sampled ones: other kernels sample other answers, of another length.
STORY = """\
Once upon a time a dragon lived on a hill above a small village. Every evening it flew down to the
river, and the children hid behind the mill. One day a girl called Mara stayed where she was. "Why
do you come here?" she asked. "To drink," said the dragon, "and because it is lonely on a hill."
"""
CODE = """\
def quicksort(a):
    if len(a) <= 1:
        return a
    pivot = a[len(a) // 2]
    left = [x for x in a if x < pivot]
    middle = [x for x in a if x == pivot]
    right = [x for x in a if x > pivot]
    return quicksort(left) + middle + quicksort(right)
"""
SUM = """\
1+1=2. When we add one apple to one apple, we have two apples. In the same way 2+2=4, 3+3=6 and
10+10=20. To add larger numbers, write them below each other and begin with the ones.
"""


@pytest.fixture(scope="module")
def evaluator(starter: Path) -> Iterator[Evaluator]:
    with Evaluator(read_header(starter), window=128, piece=128, threads=1) as opened:
        yield opened


@pytest.mark.parametrize("text", [STORY, CODE, SUM], ids=["story", "code", "sum"])
def test_negligible_tokens_have_a_ten_thousandth_of_the_probability(evaluator, text):
    tokens = evaluator.model.tokenize(text, special=False)[:128]
    assert len(tokens) > 40
    evaluator.begin()
    evaluator.compute(tokens)
    logits = evaluator.logits(len(tokens)).astype(np.float64)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    hopeless = chances < NEGLIGIBLE
    left_out = np.where(hopeless, chances, 0.0).sum(axis=1) / chances.sum(axis=1)
    assert left_out.mean() < 5e-4
    assert left_out.max() < 2e-3
    assert 1.0 - hopeless.mean() < 0.6  # what the sampler is spared

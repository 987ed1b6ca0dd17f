"""A reproducible answer has the same bytes, whatever the model computed before.

Measured with K-quants, whose kernels sum in another order for one token than for many: the starter
model's answers agree even where its prompts are read in other pieces.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from support.prompt_chats import user
from support.real_models import k_quant_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

QUESTIONS = (
    "Count from one to thirty in words.",
    "What is a hash table?",
    "Explain recursion with an example.",
)
CARDS = " ".join(f"Card {i} has the number {i * 7919 % 1000}." for i in range(24))
GREEDY = SamplingSettings(temperature=0.0, max_tokens=32)
SEEDED = SamplingSettings(temperature=0.8, seed=7, max_tokens=32)
OTHER = SamplingSettings(max_tokens=4)


@pytest.fixture(scope="module")
def k_quant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = k_quant_model(tmp_path_factory.mktemp("k_quant"))
    if found is None:
        pytest.skip("the model of K-quants is not here; see support/real_models.py")
    return found


@pytest.fixture(scope="module")
def model(k_quant: Path) -> Iterator[CPUInference]:
    with CPUInference(k_quant, context_length=2048) as opened:
        yield opened


def answer(model: CPUInference, sampling: SamplingSettings, *messages: Message) -> str:
    return model.complete(list(messages), sampling=sampling).text


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["temperature 0", "seed"])
@pytest.mark.parametrize("question", [*QUESTIONS, CARDS + " Which number has card 17?"])
def test_the_second_answer_is_the_first(model, question, sampling):
    first = answer(model, sampling, user(question))
    assert answer(model, sampling, user(question)) == first
    answer(model, OTHER, user(question[:20] + " of a fox"))
    assert answer(model, sampling, user(question)) == first


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["temperature 0", "seed"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_another_number_of_threads_changes_nothing_in_a_short_context(model, question, sampling):
    """Below 256 tokens; beyond them llama.cpp divides the attention of a token among threads."""
    first = answer(model, sampling, user(question))
    model.set_threads(1, 1)
    try:
        assert answer(model, sampling, user(question)) == first
    finally:
        model.set_threads(0, 0)


def test_another_number_of_threads_changes_nothing_with_a_quantised_cache(k_quant: Path) -> None:
    settings = LoadSettings(context_length=2048, kv_type=KVType.Q8_0)
    question = user(CARDS + " Which number has card 17?")
    with CPUInference(k_quant, settings=settings) as model:
        first = answer(model, SEEDED, question)
        model.set_threads(1, 1)
        result = model.complete([question], sampling=SEEDED)
        assert result.text == first
        assert result.stats.prompt_tokens > 256


def test_a_reproducible_answer_reuses_the_whole_pieces_of_its_prompt(model: CPUInference) -> None:
    question = user(CARDS + " Which number has card 9?")
    model.complete([user("Hello")], sampling=GREEDY)
    cold = model.complete([question], sampling=GREEDY).stats
    warm = model.complete([question], sampling=GREEDY).stats
    assert cold.cached_tokens < 128
    assert warm.cached_tokens == (warm.prompt_tokens - 1) // 128 * 128 >= 128

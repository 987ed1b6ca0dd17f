"""The library's options with the real starter model: stops, biases, raw prompts, embeddings."""

import asyncio
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import deepseek_r1
from deepseek_r1 import AsyncCPUInference, CPUInference, PromptTooLong, RawPrompt, WrongUsage
from deepseek_r1.core.events import FinishReason, PrefillProgress
from support.forced_answers import ENDLESS, only

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[CPUInference]:
    with CPUInference(shallow_starter, batch_size=3, context_length=1024, queue=True) as loaded:
        yield loaded


def test_everything_that_the_package_lists_is_there():
    assert {name for name in deepseek_r1.__all__ if not hasattr(deepseek_r1, name)} == set()
    assert set(dir(deepseek_r1)) == set(deepseek_r1.__all__)


def test_an_answer_ends_before_a_stop_sequence(model: CPUInference):
    answer = model.complete("?", json_schema=only("one two three"), stop=["nothing", "two"])
    assert answer.text.strip() == '"one'
    assert answer.stats.finish_reason is FinishReason.STOP
    assert answer.stats.stop_sequence == "two"


def test_answers_of_a_list_end_before_a_stop_sequence_each(model: CPUInference):
    answers = model.complete_many([RawPrompt(text="a a a a a a a a"), "hi"], 20, stop=" ")
    assert not any(" " in answer.text for answer in answers)


def test_a_bias_rules_tokens_out(model: CPUInference):
    schema = {"enum": ["yes", "no"]}
    free = model.generate("?", json_schema=schema, temperature=0).strip()
    word = free.strip('"')
    banned = dict.fromkeys(model.tokenize(f'"{word}') + model.tokenize(word), -100.0)
    banned.update({token: -100.0 for n in (1, 2) for token in model.tokenize(word[:n])})
    other = model.generate("?", json_schema=schema, temperature=0, logit_bias=banned)
    assert {free, other.strip()} == {'"yes"', '"no"'}
    with pytest.raises(WrongUsage, match="no token"):
        model.generate("?", 1, logit_bias={10**9: 1.0})


def test_a_frequency_penalty_ends_a_repetition(model: CPUInference):
    prompt = RawPrompt(text="la la la la la la la la la la la la")
    repeated = model.complete(prompt, 40, temperature=0, logprobs=True).logprobs
    penalised = model.complete(
        prompt, 40, temperature=0, logprobs=True, frequency_penalty=2.0, presence_penalty=2.0
    ).logprobs
    assert len({each.token for each in penalised}) > len({each.token for each in repeated})


def test_log_probabilities_belong_to_the_tokens_of_the_answer(model: CPUInference):
    answer = model.complete("Say hello.", 8, temperature=0, logprobs=True, top_logprobs=3)
    assert b"".join(bytes(each.data) for each in answer.logprobs).decode() == answer.text
    for each in answer.logprobs:
        assert [top.logprob for top in each.top] == sorted(
            (top.logprob for top in each.top), reverse=True
        )
        assert each.top[0].token == each.token  # temperature 0 takes the most likely
        assert sum(math.exp(top.logprob) for top in each.top) <= 1.0 + 1e-6


def test_a_raw_prompt_is_continued_without_the_chat_template(model: CPUInference):
    text = "The capital of France is"
    prompt = RawPrompt(text=text)
    assert model.count_tokens(prompt) < model.count_tokens(text)
    by_tokens = RawPrompt(tokens=tuple(model.tokenize(text)))
    assert model.generate(prompt, 4, temperature=0) == model.generate(by_tokens, 4, temperature=0)


def test_a_model_without_tokens_for_it_refuses_to_fill_in(model: CPUInference):
    with pytest.raises(WrongUsage, match="cannot fill in"):
        model.generate(RawPrompt(text="def f(", suffix="):"), 4)


def test_a_text_survives_its_tokens(model: CPUInference):
    text = "Grüße, 世界! <|im_end|>"
    assert model.detokenize(model.tokenize(text)) == text
    assert len(model.tokenize("<|im_end|>", special=True)) == 1
    with pytest.raises(WrongUsage, match="no token"):
        model.detokenize([10**9])
    with pytest.raises(WrongUsage, match="whole number"):
        model.detokenize([1.5])
    assert repr(model) == f"<CPUInference '{model.loaded.facts.name}', context 1024>"


def test_embeddings_have_length_one_and_depend_on_the_text(model: CPUInference):
    one, same, other = model.embed(["A cat sleeps.", "A cat sleeps.", "Tax law of 1931"])
    assert math.isclose(sum(x * x for x in one), 1.0, rel_tol=1e-5)
    assert sum(a * b for a, b in zip(one, same, strict=True)) > 0.999
    assert sum(a * b for a, b in zip(one, other, strict=True)) < 0.999


def test_a_prompt_that_is_too_long_fails_alone(model: CPUInference):
    prompts = ["hi", "word " * 2000, "ho"]
    first, second, third = model.complete_many(
        prompts, 3, json_schema=ENDLESS, return_exceptions=True
    )
    assert isinstance(second, PromptTooLong)
    assert first.stats.completion_tokens == third.stats.completion_tokens == 3
    with pytest.raises(PromptTooLong):
        model.generate(prompts, 3)


def test_callers_of_four_threads_are_all_answered(model: CPUInference):
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.generate("?", json_schema=only("x"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.strip() for answer in answers] == ['"x"'] * 4


# ---- asyncio --------------------------------------------------------------------------------


def test_coroutines_are_answered_in_turn_and_a_cancelled_one_ends(shallow_starter: Path):
    async def main() -> None:
        async with AsyncCPUInference(shallow_starter, context_length=1024) as model:
            answers = await asyncio.gather(
                *(model.generate("?", json_schema=only(word)) for word in ("a", "b", "c"))
            )
            assert [answer.strip() for answer in answers] == ['"a"', '"b"', '"c"']
            endless = asyncio.create_task(model.generate("?", json_schema=ENDLESS))
            waiting = asyncio.create_task(model.generate("?", json_schema=ENDLESS))
            await asyncio.sleep(0.2)
            endless.cancel()
            waiting.cancel()
            assert (await model.generate("?", json_schema=only("d"))).strip() == '"d"'
            events = [event async for event in model.stream("?", json_schema=only("e"))]
            assert isinstance(events[0], PrefillProgress)
            with pytest.raises(WrongUsage):
                await model.generate(5)

    asyncio.run(main())


def test_closing_ends_the_answers_of_all_coroutines(shallow_starter: Path):
    async def main() -> list[FinishReason]:
        model = AsyncCPUInference(shallow_starter)
        await model.load()
        asked = [asyncio.create_task(model.complete("?", json_schema=ENDLESS)) for _ in range(3)]
        while not model.model.context_used:
            await asyncio.sleep(0.001)
        await model.close()
        return [(await each).stats.finish_reason for each in asked]

    assert asyncio.run(main()) == [FinishReason.CANCELLED] * 3

"""Greedy answers are byte for byte the same with and without prompts from the disk.

Besides the text, the logarithms of the tokens' probabilities are compared, which depend on all
logits: two answers can have the same text by luck, but hardly the same numbers.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import KVType, SamplingSettings
from deepseek_r1.engine.interface import Engine
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from support.prompt_chats import Answered, Opener, answered, assistant, long_text, prepared, user
from support.real_models import k_quant_model

pytestmark = pytest.mark.integration

GREEDY = SamplingSettings(temperature=0.0, max_tokens=10, logprobs=True)
SAMPLED = SamplingSettings(temperature=0.8, max_tokens=6)
PIECE = 128
QUESTION = user(long_text(1, 240) + " What do you see?")
CHAT = [QUESTION, assistant("Letters and numbers, I think."), user("Name one of them.")]

Openers = Callable[[PromptCache | None], Engine]


@pytest.fixture(params=["shallow", pytest.param("k_quant", marks=pytest.mark.slow)])
def model(request, shallow_starter, tmp_path_factory) -> Path:
    if request.param == "shallow":
        return shallow_starter
    found = k_quant_model(tmp_path_factory.mktemp("k_quant"))
    if found is None:
        pytest.skip("the model of K-quants is not here; see support/real_models.py")
    return found


@pytest.fixture(
    params=[
        pytest.param((None, KVType.F16), id="memory, f16"),
        pytest.param((0.5, KVType.Q8_0), id="streamed, q8_0"),
    ]
)
def opened(request: pytest.FixtureRequest, model: Path, open_next: Opener) -> Openers:
    kept, kv_type = request.param

    def open_one(cache: PromptCache | None) -> Engine:
        return open_next(cache, model, kept=kept, kv_type=kv_type, micro_batch=256)

    return open_one


def greedy(engine: Engine, messages: list[Message]) -> Answered:
    return answered(engine, messages, GREEDY)


def same(one: Answered, other: Answered) -> bool:
    assert one.logprobs
    return (one.text, one.logprobs) == (other.text, other.logprobs)


def whole(tokens: int) -> int:
    """The tokens of whole pieces among so many."""
    return tokens // PIECE * PIECE


def test_a_reopened_chat_gets_the_answer_of_one_that_is_read_again(opened, cache):
    wanted = greedy(opened(None), CHAT)
    prepared(opened(cache), CHAT[:2])
    engine = opened(cache)
    straight = greedy(engine, CHAT)
    assert straight.stats.restored_tokens >= whole(straight.stats.prompt_tokens) - PIECE > PIECE
    assert same(straight, wanted)
    engine = opened(cache)
    prepared(engine, CHAT[:2], compute=False)  # as the window does where a chat is opened
    assert same(greedy(engine, CHAT), wanted)


@pytest.mark.slow
def test_edit_another_answer_and_change_of_version_after_a_restart(opened, cache):
    edited = [*CHAT[:2], user(long_text(5, 60) + " And here?")]
    other_version = [QUESTION, assistant(long_text(6, 60)), user("Name one of them.")]
    asked = {"again": [QUESTION], "edit": edited, "version": other_version, "first version": CHAT}
    engine = opened(None)
    wanted = {name: greedy(engine, chat) for name, chat in asked.items()}
    engine = opened(cache)
    answered(engine, CHAT, SAMPLED)  # leaves cells that were computed one by one
    prepared(engine, CHAT[:2])
    prepared(engine, other_version[:2])
    engine = opened(cache)
    for name in ("version", "edit", "again", "first version"):
        answer = greedy(engine, asked[name])
        assert same(answer, wanted[name]), name
        assert answer.stats.cached_tokens >= 2 * PIECE, name


@pytest.mark.slow
@pytest.mark.parametrize("kv_type", [KVType.F16, KVType.Q8_0])
def test_a_chat_saved_under_one_budget_is_the_same_under_another(model, open_next, cache, kv_type):
    def streamed(folder: PromptCache | None, kept: float) -> Engine:
        return open_next(folder, model, kept=kept, kv_type=kv_type, micro_batch=256)

    wanted = greedy(streamed(None, 0), CHAT)
    prepared(streamed(cache, 0.5), CHAT[:2])
    for kept in (0, 2.0):
        found = greedy(streamed(cache, kept), CHAT)
        assert same(found, wanted)
        assert found.stats.restored_tokens > PIECE


@pytest.mark.slow
def test_a_prompt_of_any_answer_is_saved_in_whole_pieces(starter, open_next, cache):
    wanted = greedy(open_next(None, starter, micro_batch=256), [QUESTION])
    engine = open_next(cache, starter, micro_batch=256)
    first = answered(engine, [QUESTION], SAMPLED)
    prepared(engine, [QUESTION, assistant(first.text)], compute=False)
    found = greedy(open_next(cache, starter, micro_batch=256), [QUESTION])
    assert found.stats.restored_tokens >= whole(found.stats.prompt_tokens) - PIECE
    assert same(found, wanted)


def test_what_was_computed_in_other_pieces_serves_other_answers_alone(tiny, open_next, cache):
    wanted = greedy(open_next(None, tiny, micro_batch=256), CHAT)
    engine = open_next(cache, tiny, micro_batch=256)
    engine.limit_batch(60)  # as it is while the machine is short of memory
    prepared(engine, CHAT[:2])
    found = greedy(open_next(cache, tiny, micro_batch=256), CHAT)
    assert found.stats.restored_tokens == 0
    assert same(found, wanted)
    sampled = answered(open_next(cache, tiny, micro_batch=256), CHAT, SAMPLED)
    assert sampled.stats.restored_tokens > 2 * PIECE


def test_whole_pieces_replace_what_was_saved_otherwise(tiny, open_next, cache):
    engine = open_next(cache, tiny, micro_batch=256)
    engine.limit_batch(60)
    prepared(engine, CHAT[:2])
    before = cache.state()
    engine = open_next(cache, tiny, micro_batch=256)
    greedy(engine, CHAT)
    prepared(engine, CHAT[:2])
    assert cache.state().segments == before.segments
    found = greedy(open_next(cache, tiny, micro_batch=256), CHAT)
    assert found.stats.restored_tokens > PIECE


def test_short_messages_leave_a_chat_in_whole_pieces(tiny, open_next, cache):
    chat = list(CHAT)
    engine = open_next(cache, tiny, micro_batch=256)
    for number in range(4):
        answered(engine, chat, SAMPLED)
        chat.append(assistant(long_text(20 + number, 60)))
        prepared(engine, chat)
        chat.append(user("And then?"))
    found = greedy(open_next(cache, tiny, micro_batch=256), chat)
    assert found.stats.restored_tokens >= whole(found.stats.prompt_tokens) - PIECE
    assert same(found, greedy(open_next(None, tiny, micro_batch=256), chat))

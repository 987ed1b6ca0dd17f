"""Chats with models that have a recurrent state: continued, reopened, edited, damaged, stopped.

Each answer is the one of an engine that reads the whole chat for the first time.
"""

import json
from pathlib import Path

import pytest

from deepseek_r1.core.messages import AnswerRequest
from deepseek_r1.core.settings import DraftMode, SamplingSettings
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.cost_model import layers_of
from support.hybrids import FAMILIES
from support.prompt_chats import (
    Answered,
    Opener,
    answered,
    assistant,
    long_text,
    prepared,
    system,
    user,
)

pytestmark = pytest.mark.integration

PIECE, MARGIN = 128, 144  # a checkpoint is so far before a prompt's end at most
GREEDY = SamplingSettings(temperature=0.0, max_tokens=8, logprobs=True)
SEEDED = SamplingSettings(temperature=0.8, seed=5, max_tokens=8, logprobs=True)
SAMPLED = SamplingSettings(temperature=0.8, max_tokens=4)
FIRST = [system("Be brief. " * 40), user(long_text(1, 300) + " What do you see?")]
ANSWER = assistant("Letters and numbers, I think. " * 12)
WITHOUT_ROLLBACK = ("granitehybrid",)
CHAT = [*FIRST, ANSWER, user("Name one of them.")]
EDITED = [*FIRST, ANSWER, user(long_text(7, 40))]

family = pytest.mark.parametrize(
    "name",
    [name if name == "qwen35" else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES],
)
each_sampling = pytest.mark.parametrize(
    "sampling",
    [pytest.param(GREEDY, id="greedy"), pytest.param(SEEDED, id="seed", marks=pytest.mark.slow)],
)


@pytest.fixture
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[name](tmp_path_factory.mktemp("hybrid") / f"{name}.gguf")


def same(one: Answered, other: Answered) -> bool:
    assert one.logprobs
    return (one.text, one.logprobs) == (other.text, other.logprobs)


def fresh(open_next, model, chat, sampling):
    return answered(open_next(None, model, micro_batch=256), chat, sampling)


@family
@each_sampling
def test_a_next_turn_reads_no_more_than_the_last_answer(model, open_next, sampling):
    wanted = fresh(open_next, model, CHAT, sampling)
    engine = open_next(None, model, micro_batch=256)
    first = answered(engine, FIRST, sampling)
    found = answered(engine, CHAT, sampling)
    assert found.stats.cached_tokens >= first.stats.prompt_tokens - MARGIN > 3 * PIECE
    assert same(found, wanted)


@pytest.mark.slow
@family
def test_a_turn_is_prepared_without_a_folder_too(model: Path, open_next: Opener) -> None:
    wanted = fresh(open_next, model, CHAT, GREEDY)
    engine = open_next(None, model, micro_batch=256)
    answered(engine, FIRST, SAMPLED)
    done, total, cached = prepared(engine, CHAT[:3])
    assert done == total > cached >= 3 * PIECE
    found = answered(engine, CHAT, GREEDY)
    assert found.stats.cached_tokens >= total - PIECE
    assert same(found, wanted)


@family
@each_sampling
def test_a_reopened_chat_gets_the_answer_of_one_that_is_read_again(
    model: Path, open_next: Opener, cache: PromptCache, sampling: SamplingSettings, tmp_path: Path
) -> None:
    wanted = fresh(open_next, model, CHAT, sampling)
    engine = open_next(cache, model, micro_batch=256)
    answered(engine, FIRST, SAMPLED)
    done, total, cached = prepared(engine, CHAT[:3])
    assert done == total
    assert cached >= 3 * PIECE
    count = len(list((tmp_path / "prompts" / "segments").glob("*.rs")))
    state_bytes = layers_of(read_header(model)).state_bytes
    assert state_bytes < cache.state().checkpoints_mib * (1 << 20) / count < state_bytes + 4096
    engine = open_next(cache, model, micro_batch=256)
    assert prepared(engine, CHAT[:3], compute=False)[0] >= total - PIECE
    found = answered(engine, CHAT, sampling)
    assert found.stats.cached_tokens >= total - PIECE
    assert same(found, wanted)
    straight = answered(open_next(cache, model, micro_batch=256), CHAT, sampling)
    assert straight.stats.restored_tokens >= total - PIECE
    assert same(straight, wanted)


@pytest.mark.slow
@family
@each_sampling
def test_an_edit_goes_back_to_the_last_checkpoint_before_it(model, open_next, cache, sampling):
    again = [*FIRST[:1], user(long_text(3, 200))]
    wanted = [fresh(open_next, model, chat, sampling) for chat in (EDITED, again, CHAT)]
    engine = open_next(cache, model, micro_batch=256)
    answered(engine, FIRST, sampling)
    prepared(engine, CHAT[:3])
    answered(engine, CHAT, sampling)
    for chat, answer, least in zip((EDITED, again, CHAT), wanted, (4, 2, 4), strict=True):
        found = answered(engine, chat, sampling)
        assert same(found, answer)
        assert found.stats.cached_tokens >= least * PIECE


@family
@pytest.mark.slow
def test_a_chat_from_the_disk_is_the_same_as_one_that_is_read_again(model, open_next, cache, name):
    wanted = answered(open_next(None, model, micro_batch=256, kept=0.5), CHAT, GREEDY)
    engine = open_next(cache, model, micro_batch=256, kept=0.5)
    answered(engine, FIRST, GREEDY)
    _, total, cached = prepared(engine, CHAT[:3])
    assert cached >= 3 * PIECE
    assert same(answered(engine, CHAT, GREEDY), wanted)
    kept = 0.5 if name == "bailingmoe3" else 0  # without a cache, experts make smaller pieces
    found = answered(open_next(cache, model, micro_batch=256, kept=kept), CHAT, GREEDY)
    assert found.stats.restored_tokens >= total - PIECE
    assert same(found, wanted)


@family
def test_a_stopped_answer_leaves_the_state_of_its_question(model: Path, open_next: Opener) -> None:
    wanted = fresh(open_next, model, CHAT, GREEDY)
    engine = open_next(None, model, micro_batch=256)
    long = GREEDY.model_copy(update={"max_tokens": 400, "logprobs": False})
    for number, _event in enumerate(engine.stream(AnswerRequest(CHAT[:2], long))):
        if number == 12:
            engine.cancel()
    engine.reset_cancel()
    found = answered(engine, CHAT, GREEDY)
    assert found.stats.cached_tokens >= 3 * PIECE
    assert same(found, wanted)


@family
def test_a_damaged_checkpoint_is_deleted_and_its_tokens_are_read_again(
    model: Path, open_next: Opener, cache: PromptCache, tmp_path: Path
) -> None:
    wanted = fresh(open_next, model, CHAT, GREEDY)
    prepared(open_next(cache, model, micro_batch=256), CHAT[:3])
    files = sorted((tmp_path / "prompts" / "segments").glob("*.rs"))
    for path in files:
        data = bytearray(path.read_bytes())
        data[-100] ^= 1
        path.write_bytes(data)
    found = answered(open_next(cache, model, micro_batch=256), CHAT, GREEDY)
    assert files
    assert found.stats.restored_tokens == 0
    assert not any(path.exists() for path in files)
    assert same(found, wanted)


WORDS = ["red green blue", "red green bone", "red gold"]
LIST = {"type": "array", "items": {"enum": WORDS}, "minItems": 24, "maxItems": 24}


@pytest.mark.slow
@family
def test_drafts_that_are_not_kept_change_no_answer(model, open_next, name):
    chat = [*FIRST, user("Say again: " + ", ".join(WORDS * 3))]

    def list_of(drafts: DraftMode) -> Answered:
        sampling = GREEDY.model_copy(update={"max_tokens": 600, "logprobs": False})
        engine = open_next(None, model, micro_batch=256, drafts=drafts)
        return answered(engine, chat, sampling, json.dumps(LIST))

    wanted, found = list_of(DraftMode.OFF), list_of(DraftMode.LOOKUP)
    assert found.text == wanted.text
    if name in WITHOUT_ROLLBACK:
        assert found.stats.drafted == 0
    else:
        assert 0 < found.stats.accepted < found.stats.drafted


@pytest.mark.slow
def test_long_texts_have_a_checkpoint_every_4096_tokens(open_next, cache, tmp_path):
    model = FAMILIES["qwen35"](tmp_path / "qwen35.gguf")
    text = long_text(9, 6000)
    engine = open_next(cache, model, micro_batch=256, context_length=16384)
    prepared(engine, [user(text), assistant("Yes.")])
    engine = open_next(cache, model, micro_batch=256, context_length=16384)
    found = answered(engine, [user(text[:9500] + "other"), assistant("Yes."), user("So?")], GREEDY)
    assert found.stats.restored_tokens == 4096

"""Answers after a restore are those without it, and a model never gets another one's state."""

import os
from pathlib import Path

import pytest

from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import KVType, SamplingSettings
from deepseek_r1.engine.interface import Engine
from deepseek_r1.engine.llama import prefill
from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache
from support import prompt_chats
from support.gguf_files import tiny_qwen2
from support.prompt_chats import Answered, Opener, assistant, long_text, prepared, user

pytestmark = pytest.mark.integration

# The likeliest token, but not reproducible, so that all cells in memory are used again.
# At this temperature chance decides nothing, even among the flat logits of random weights.
LIKELIEST = SamplingSettings(temperature=1e-6, max_tokens=12)
STREAMED = "streamed"
CHAT = [user(long_text(1)), assistant("So it is."), user("And then?")]


@pytest.fixture
def opened(tiny: Path, open_next: Opener) -> Opener:
    def open_one(cache, *, path=tiny, kind="memory", **options):
        return open_next(cache, path, kept=0.5 if kind == STREAMED else None, **options)

    return open_one


def answered(engine: Engine, messages: list[Message]) -> Answered:
    return prompt_chats.answered(engine, messages, LIKELIEST)


@pytest.mark.parametrize("kind", ["memory", STREAMED])
@pytest.mark.parametrize(
    "kv_type",
    [
        KVType.F16,
        pytest.param(KVType.Q8_0, marks=pytest.mark.slow),
        pytest.param(KVType.Q4_0, marks=pytest.mark.slow),
    ],
)
def test_a_restored_chat_goes_on_as_one_that_was_never_closed(
    opened, cache, tiny, shallow_starter, kind, kv_type
):
    chat = [user(long_text(1, 250)), assistant(long_text(2, 30)), user("And then?")]
    path = tiny if kv_type is KVType.F16 else shallow_starter  # whose rows are long enough

    def fresh() -> Engine:
        return opened(cache, path=path, kind=kind, kv_type=kv_type)

    engine = fresh()
    done, total, _ = prepared(engine, chat[:2])
    assert done == total > 256
    never_closed = answered(engine, chat)
    assert never_closed.stats.restored_tokens == 0

    engine = fresh()
    assert prepared(engine, chat[:2], compute=False) == (total, total, total)
    reopened = answered(engine, chat)
    assert reopened.text == never_closed.text
    assert reopened.stats.cached_tokens == total

    straight = answered(fresh(), chat)
    assert straight.text == never_closed.text
    assert straight.stats.restored_tokens == total


def test_a_chat_of_another_context_length_is_restored(opened: Opener, cache: PromptCache) -> None:
    engine = opened(cache)
    prepared(engine, CHAT[:2])
    wanted = answered(engine, CHAT)
    longer = answered(opened(cache, context_length=4096), CHAT)
    assert longer.text == wanted.text
    assert longer.stats.restored_tokens > 500


@pytest.mark.parametrize("change", ["kv_type", "streamed", "model", "time", "rotation"])
def test_what_was_saved_otherwise_is_read_again(
    opened, cache, tmp_path, shallow_starter, monkeypatch, change
):
    chat = [user(long_text(1, 250)), assistant("So it is."), user("And then?")]
    path = shallow_starter if change == "kv_type" else tiny_qwen2(tmp_path / "one.gguf", seed=2)
    prepared(opened(cache, path=path), chat[:2])
    kind, kv_type = "memory", KVType.F16
    match change:
        case "kv_type":
            kv_type = KVType.Q8_0
        case "streamed":
            kind = STREAMED
        case "model":  # of the same shape, and even of the same time and size
            status = path.stat()
            tiny_qwen2(path, seed=9)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            assert path.stat().st_size == status.st_size
        case "time":
            os.utime(path, ns=(0, 0))
        case "rotation":
            monkeypatch.setenv("LLAMA_ATTN_ROT_DISABLE", "1")
    again = answered(opened(cache, path=path, kind=kind, kv_type=kv_type), chat)
    assert again.stats.restored_tokens == 0
    assert again.text == answered(opened(None, path=path, kind=kind, kv_type=kv_type), chat).text


def test_versions_of_a_chat_share_what_they_have_in_common(opened, cache):
    question = user(long_text(1))
    first = [question, assistant(long_text(2, 40))]
    second = [question, assistant(long_text(3, 40))]
    engine = opened(cache)
    prepared(engine, first)
    segments = cache.state().segments
    _, total, cached = prepared(engine, second)
    assert cached > 500
    assert cache.state().segments == segments + 1  # the end alone
    engine = opened(cache)
    for version in (first, second, first):
        done, total, cached = prepared(engine, version, compute=False)
        assert done == total == cached


def test_an_edited_question_keeps_what_is_before_it(opened: Opener, cache: PromptCache) -> None:
    chat = [user(long_text(1)), assistant("Yes."), user(long_text(2, 100)), assistant("No.")]
    engine = opened(cache)
    prepared(engine, chat)
    edited = [*chat[:2], user(long_text(4, 100))]
    wanted = answered(opened(None), edited)
    found = answered(opened(cache), edited)
    assert found.stats.restored_tokens > 500
    assert found.text == wanted.text


def test_another_answer_after_a_restart_reads_nothing_again_but_the_end(opened, cache):
    chat = [user(long_text(1))]
    engine = opened(cache)
    first = answered(engine, chat)
    prepared(engine, [*chat, assistant(first.text)])
    again = answered(opened(cache), chat)
    assert again.text == first.text
    assert again.stats.prompt_tokens - again.stats.restored_tokens < 10


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def test_another_chats_cells_do_not_take_the_place_of_a_damaged_segment(opened, cache, tmp_path):
    other = [user(long_text(2, 400)), assistant("No.")]
    engine = opened(cache)
    prepared(engine, CHAT[:2])
    wanted = answered(engine, CHAT).text
    prepared(engine, other)
    for file in (tmp_path / "prompts" / "segments").iterdir():
        flip(file, -1, 0)
    found = answered(engine, CHAT)
    assert found.stats.restored_tokens == 0
    assert found.stats.cached_tokens < 50
    assert found.text == wanted


def test_a_shorter_version_of_a_chat_is_not_written_beside_the_longer_one(opened, cache):
    chat = [user(long_text(1)), assistant("So it is."), user(long_text(2, 60)), assistant("No.")]
    engine = opened(cache)
    prepared(engine, chat)
    written = cache.state().written_today_mib
    prepared(engine, chat[:2])
    prepared(engine, chat)
    assert cache.state().written_today_mib == written


def test_switching_between_two_chats_reads_neither_again(opened, cache):
    other = [user(long_text(2)), assistant("So it was.")]
    engine = opened(cache)
    _, total, _ = prepared(engine, CHAT[:2])
    _, total_other, _ = prepared(engine, other)
    for _ in range(3):
        assert prepared(engine, CHAT[:2], compute=False) == (total, total, total)
        assert prepared(engine, other, compute=False) == (total_other, total_other, total_other)


def test_what_a_stopped_preparation_computed_is_saved_later(opened, cache):
    engine = opened(cache)
    for progress in engine.prepare(CHAT[:2], owner="1", compute=True):
        if progress.done > 300:
            engine.cancel()
    assert cache.state().segments == 0
    engine.reset_cancel()
    engine.save_prompt(10.0)
    done, total, _ = prepared(opened(cache), CHAT[:2], compute=False)
    assert 300 < done < total


def test_a_long_preparation_is_saved_while_it_computes(opened, cache, monkeypatch):
    monkeypatch.setattr(prefill, "SAVE_EVERY_S", 0.0)
    engine = opened(cache)
    for progress in engine.prepare(CHAT[:2], owner="1", compute=True):
        if progress.done > 300:
            assert cache.state().segments > 0
            engine.cancel()
    done, total, _ = prepared(opened(cache), CHAT[:2], compute=False)
    assert 256 <= done < total


def test_without_a_folder_only_the_next_turn_is_readied(opened: Opener) -> None:
    engine = opened(None)
    done, total, _ = prepared(engine, CHAT[:2])
    assert done == total
    stats = answered(engine, CHAT).stats
    assert stats.cached_tokens == total
    assert stats.restored_tokens == 0


def test_a_chat_longer_than_the_context_is_left_alone(opened: Opener, cache: PromptCache) -> None:
    engine = opened(cache, context_length=512)
    assert list(engine.prepare([user(long_text(1))], owner="1", compute=True)) == []
    assert cache.state().segments == 0

"""Old model files through the library: recognised, computed, stopped, counted like all others."""

import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import BudgetTooSmall, LoadStopped, PromptTooLong
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationFinished, PrefillProgress
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from support.command import run_code
from support.ggml_files import FAMILIES, tiny_gpt2, tiny_llama_ggjt
from support.gguf_files import tiny_llama
from support.raw_gguf import ARRAY, SIZES, STRING, RawGguf

pytestmark = pytest.mark.integration

GREEDY = SamplingSettings(temperature=0.0, max_tokens=12)
CONTEXT = 256


def opened(path: Path, **options) -> CPUInference:
    """With one thread: this engine's threads wait for each other without giving way."""
    return CPUInference(path, context_length=CONTEXT, thread_count=1, **options)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Iterator[CPUInference]:
    with opened(tiny_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny.bin")) as model:
        yield model


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_recognized_by_its_file_and_answers(family: str, tmp_path: Path) -> None:
    path = FAMILIES[family](tmp_path / "model.bin")
    assert read_header(path).architecture == family
    with opened(path) as model:
        answer = model.complete("hello the world", sampling=GREEDY)
        again = model.complete("hello the world", sampling=GREEDY)
        assert model.loaded.facts.engine.startswith("ctransformers 0.2.27")
    assert answer.text == again.text != ""
    kept = 0 if family == "falcon" else again.stats.prompt_tokens - 1  # which cannot cut its own
    assert again.stats.cached_tokens == kept
    assert answer.stats.finish_reason in (FinishReason.LENGTH, FinishReason.STOP)


def test_the_ggmf_form_of_a_llama_generates_the_same_as_its_ggjt_form(tmp_path: Path) -> None:
    later = tiny_llama_ggjt(tmp_path / "later.bin")
    earlier = tiny_llama_ggjt(tmp_path / "earlier.bin", magic=b"fmgg", version=1)
    with opened(later) as first, opened(earlier) as second:
        assert first.generate("Hello", 12, sampling=GREEDY) == second.generate(
            "Hello", 12, sampling=GREEDY
        )


def test_the_first_gguf_and_llama_cpp_agree_on_the_same_weights(tmp_path):
    """Two engines that share no code, in one process."""
    plain = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    raw = RawGguf.parse(tiny_llama(tmp_path / "base.gguf").read_bytes())
    today = raw.set("tokenizer.chat_template", STRING, plain).write(tmp_path / "today.gguf")
    first = write_first_version(today, tmp_path / "first.gguf")
    assert read_header(first).format_name == "GGUF 1"
    with opened(first) as old, opened(today, kv_type="f16") as new:
        assert old.loaded.facts.engine.split()[0] == "ctransformers"
        assert new.loaded.facts.engine.split()[0] == "llama.cpp"
        for text in ("hello the world", "Zürich 你好"):
            reported, expected = (m.complete(text, sampling=GREEDY) for m in (old, new))
            assert reported.stats.prompt_tokens == expected.stats.prompt_tokens
            assert reported.text == expected.text


def test_a_seed_gives_the_same_answer_and_another_seed_another(gpt2: CPUInference) -> None:
    def generated(seed: int) -> str:
        return gpt2.generate("hello", sampling=SamplingSettings(seed=seed, max_tokens=24))

    assert generated(5) == generated(5) != generated(6)


def test_a_character_that_is_spread_over_tokens_arrives_whole(gpt2: CPUInference) -> None:
    sampling = SamplingSettings(seed=3, temperature=5.0, max_tokens=120)
    pieces = [e.text for e in gpt2.stream("hello", sampling=sampling) if isinstance(e, AnswerDelta)]
    assert len(pieces) > 20
    assert all(c < "\ud800" or c > "\udfff" for c in "".join(pieces))
    "".join(pieces).encode("utf-8")


@pytest.mark.slow
@pytest.mark.quiet
def test_an_answer_is_stopped_between_two_tokens(gpt2: CPUInference) -> None:
    events = gpt2.stream("hello", sampling=SamplingSettings(seed=1, max_tokens=200))
    seen = next(event for event in events if isinstance(event, AnswerDelta))
    began = time.perf_counter()
    threading.Thread(target=gpt2.cancel).start()
    *_, last = events
    assert time.perf_counter() - began < 0.2
    assert isinstance(last, GenerationFinished)
    assert last.stats.finish_reason is FinishReason.CANCELLED
    assert seen.text


def test_a_long_prompt_is_computed_in_pieces_that_report_progress(gpt2: CPUInference) -> None:
    events = list(gpt2.stream("x " * 60, sampling=GREEDY))
    progress = [event for event in events if isinstance(event, PrefillProgress)]
    assert [event.done for event in progress] == sorted({event.done for event in progress})
    assert progress[-1].done == progress[-1].total == events[-1].stats.prompt_tokens
    assert len(progress) > 8


def test_a_text_without_a_space_is_cut_before_the_engine_splits_it(tmp_path: Path) -> None:
    """The engine's own splitting calls itself for every character and runs out of stack."""
    with opened(tiny_gpt2(tmp_path / "tiny.bin")) as model:
        assert model.count_tokens("a" * 30_000) == 30_000
        assert model.count_tokens("日" * 5_000) == 15_000


def test_too_long_a_conversation_is_refused_before_any_work(gpt2: CPUInference) -> None:
    with pytest.raises(PromptTooLong):
        gpt2.generate("a" * CONTEXT)


def test_the_answer_ends_where_the_context_is_full(gpt2: CPUInference) -> None:
    sampling = SamplingSettings(temperature=0.0, max_tokens=2000)
    stats = gpt2.complete("b" * (CONTEXT - 6), sampling=sampling).stats
    assert stats.finish_reason is FinishReason.CONTEXT
    assert stats.context_used == CONTEXT


def test_prompts_of_a_list_are_answered_one_after_the_other(gpt2: CPUInference) -> None:
    alone = [gpt2.generate(text, sampling=GREEDY) for text in ("hello", "world")]
    assert gpt2.generate(["hello", "world"], sampling=GREEDY) == alone


def test_what_the_engine_has_no_use_for_is_named(gpt2: CPUInference) -> None:
    ignored = gpt2.loaded.facts.ignored
    assert {"kv_type", "swap_enabled", "min_p"} <= set(ignored)
    assert not {"temperature", "top_p", "top_k", "repeat_penalty", "seed"} & set(ignored)


def test_typed_markers_of_a_role_stay_text(tmp_path: Path) -> None:
    """Dolly's library makes a steering token of them wherever they stand."""
    with opened(FAMILIES["dolly-v2"](tmp_path / "dolly.bin")) as model:
        plain = model.count_tokens("x")
        assert model.count_tokens("x### Response:") == plain + len("### Response:")


@pytest.mark.parametrize("family", ["llama", "falcon"])
def test_a_character_without_a_word_is_left_out(family: str, tmp_path: Path) -> None:
    """Their library ends its process at it. Falcon's own vocabulary lacks control characters."""
    path = FAMILIES[family](tmp_path / "model.bin")
    path.write_bytes(path.read_bytes().replace(b"\1\0\0\0h", b"\1\0\0\0j", 1))
    with opened(path) as model:
        assert model.tokenize("hello") == model.tokenize("ello")
        answer = model.generate("hello the world", 12, sampling=GREEDY)
        assert answer == model.generate("ello te world", 12, sampling=GREEDY)


def test_a_conversation_is_continued(gpt2: CPUInference) -> None:
    generated = [("user", "hello"), ("assistant", "world"), ("user", "again")]
    messages = [Message(role=Role(role), content=content) for role, content in generated]
    assert gpt2.count_tokens(messages) == gpt2.count_tokens("hello\n\nworld\n\nagain")


@pytest.mark.slow
def test_a_budget_too_small_is_refused_without_talk_of_swapping(tmp_path: Path) -> None:
    path = tiny_gpt2(tmp_path / "wide.bin", width=1280, blocks=3)  # 225 MiB
    with pytest.raises(BudgetTooSmall) as refused:
        opened(path, memory_budget=256, swap_enabled=True)
    assert "swap" not in str(refused.value)


def test_a_load_that_is_not_wanted_any_more_ends(tmp_path: Path) -> None:
    with pytest.raises(LoadStopped):
        opened(tiny_gpt2(tmp_path / "tiny.bin"), on_progress=lambda _share: False)


def test_a_falcon_is_loaded_again_by_a_fresh_process(tmp_path: Path) -> None:
    """The 32nd load in one process would end it."""
    path, settings = FAMILIES["falcon"](tmp_path / "model.bin"), LoadSettings(context_length=256)
    with EngineClient() as engine:
        engine.load(path, settings)
        first = engine.pid
        engine.load(path, settings)
        assert engine.pid != first


def test_the_loads_that_a_callers_own_process_has_left_are_named(tmp_path: Path) -> None:
    source = """
import sys
from deepseek_r1 import CPUInference
for _ in range(40):
    CPUInference(sys.argv[1], context_length=256, isolated=False).close()
"""
    done = run_code(source, FAMILIES["falcon"](tmp_path / "model.bin"))
    assert "This process has opened 32 old files" in done.stderr
    assert "leave out “isolated=False”" in done.stderr


@pytest.mark.slow
def test_the_bill_is_near_what_the_process_takes(tmp_path: Path) -> None:
    path = tiny_gpt2(tmp_path / "wide.bin", width=1024, blocks=4, context=512)
    with EngineClient() as engine:
        settings = LoadSettings(context_length=512, threads=1, threads_prefill=1)
        bill = engine.load(path, settings).bill
        *_, last = engine.generate("a " * 240, GREEDY)
    assert isinstance(last, GenerationFinished)
    assert last.stats.peak_mib < 1.08 * bill.total_mib
    # Elsewhere the engine measures its own share, with what its libraries needed to start.
    assert last.stats.peak_mib > (0.92 if sys.platform == "linux" else 0.85) * bill.total_mib


def write_first_version(today: Path, path: Path) -> Path:
    """The model of a file of today in the first version's form, at `path`."""
    raw = RawGguf.parse(today.read_bytes())
    out = bytearray(struct.pack("<4s3I", b"GGUF", 1, len(raw.tensors), len(raw.keys)))
    for key in raw.keys:
        out += _text(key.name) + struct.pack("<I", key.kind) + _narrow(key.kind, key.data)
    for each in raw.tensors:
        out += _text(each.name) + struct.pack(f"<I{len(each.shape)}I", len(each.shape), *each.shape)
        out += struct.pack("<IQ", each.kind, each.offset)
    out += bytes(-len(out) % raw.alignment)
    for each in raw.tensors:
        out += each.data + bytes(-len(each.data) % raw.alignment)
    path.write_bytes(bytes(out))
    return path


def _text(raw: bytes) -> bytes:
    return struct.pack("<I", len(raw)) + raw


def _narrow(kind: int, data: bytes) -> bytes:
    if kind == STRING:
        return _text(data[8:])
    if kind != ARRAY:
        return data
    element, count = struct.unpack_from("<IQ", data)
    head, rest = struct.pack("<II", element, count), data[12:]
    if element != STRING:
        assert len(rest) == count * SIZES[element]
        return head + rest
    at, texts = 0, []
    for _ in range(count):
        (size,) = struct.unpack_from("<Q", rest, at)
        texts.append(_text(rest[at + 8 : at + 8 + size]))
        at += 8 + size
    return head + b"".join(texts)

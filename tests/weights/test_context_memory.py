"""Weights have the memory that a context does not need yet, and give it back before it does."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.llama.library import LibraryLog, library
from deepseek_r1.engine.llama.runner import LlamaEngine
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference import CPUInference
from deepseek_r1.memory.costs import kv_cache_bytes
from deepseek_r1.weights.context_memory import ContextMemory
from deepseek_r1.weights.ggml import Ggml
from deepseek_r1.weights.ggml_buffer import Catch

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not hasattr(os, "preadv"), reason="streaming needs preadv"),
]

MIB = 1 << 20
SETTINGS = LoadSettings(context_length=2048, micro_batch=64, threads=1, threads_prefill=1)
SHORT, LONG = "Hello.", "The sea is deep and the sky is wide. " * 60
MIDDLE = "Go on: " + "The sea is deep and the sky is wide. " * 18
WEIGHTS_MIB = 42.0


@contextmanager
def streaming(model: Path, settings: LoadSettings = SETTINGS) -> Iterator[LlamaEngine]:
    header = read_header(model)
    engine = LlamaEngine(
        OpenRequest(header, settings, 3, lambda _fraction: True, weights_mib=WEIGHTS_MIB)
    )
    try:
        yield engine
    finally:
        engine.close()


def answer(engine: LlamaEngine, prompt: str, tokens: int) -> str:
    chosen = SamplingSettings(temperature=0.0, max_tokens=tokens)
    text = ""
    for event in engine.stream([Message(role=Role.USER, content=prompt)], chosen):
        text += getattr(event, "text", "")
    assert isinstance(event, GenerationFinished)
    return text


def pinned_mib(engine: LlamaEngine) -> float:
    stats = engine.weights_stats
    assert stats is not None
    return stats.pinned_mib


def anonymous_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


def test_a_long_conversation_gets_back_what_a_short_one_lent(starter: Path) -> None:
    with streaming(starter) as engine:
        before = pinned_mib(engine)
        answer(engine, SHORT, 12)
        short = pinned_mib(engine)
        answer(engine, LONG, 12)
        long, cells = pinned_mib(engine), engine._room.cells
        answer(engine, SHORT, 12)
        again = pinned_mib(engine)
        cell = kv_cache_bytes(read_header(starter), SETTINGS) / 2048 / MIB
    assert short > before + 30  # of 45 MiB of cells, and what prompts are computed in
    assert cells >= 768
    assert short - long == pytest.approx(cell * (cells - 256), abs=2.5)  # a matrix more or less
    assert again == short


def test_cells_that_grow_while_an_answer_is_written_change_nothing_in_it(starter: Path) -> None:
    with streaming(starter) as engine:
        engine._room = None
        calm = answer(engine, MIDDLE, 60)
    with streaming(starter) as engine:
        assert answer(engine, MIDDLE, 1)
        assert engine._room is not None
        assert engine._room.cells == 256
        assert answer(engine, MIDDLE, 60) == calm
        assert engine._room.cells == 512


def test_conversations_in_turns_say_what_each_says_alone(starter: Path) -> None:
    """Cells that were given back and taken again hold nothing of what was in them."""
    asked = (SHORT, LONG, MIDDLE, LONG + "Why?", SHORT, MIDDLE + LONG)
    alone = []
    for text in asked:
        with streaming(starter) as engine:
            engine._room = None
            alone.append(answer(engine, text, 10))
    with streaming(starter) as engine:
        assert [answer(engine, text, 10) for text in asked] == alone


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts pages as Linux does")
def test_cells_without_a_token_take_no_memory(starter: Path) -> None:
    settings = SETTINGS.model_copy(update={"context_length": 8192})
    with streaming(starter):  # what the library keeps for itself
        pass
    before = anonymous_mib()
    with streaming(starter, settings) as engine:
        assert kv_cache_bytes(read_header(starter), settings) == 180 * MIB
        assert anonymous_mib() - before < WEIGHTS_MIB + 40
        answer(engine, LONG, 2)
        answer(engine, SHORT, 2)
        assert engine._weights._lent_mib > 150
        assert engine.weights_stats.streamed_mib == 0.0
        assert anonymous_mib() - before < 92 + 40  # all weights, and no cell but the first


def test_answers_that_come_together_have_the_whole_context(starter: Path) -> None:
    chosen = SamplingSettings(temperature=0.0, max_tokens=8)
    asked = [[Message(role=Role.USER, content=text)] for text in (SHORT, LONG, SHORT)]
    with streaming(starter) as engine:
        alone = answer(engine, SHORT, 8)
        together = engine.complete_many(asked, chosen)
        assert [each.stats.completion_tokens > 0 for each in together] == [True] * 3
        assert engine._weights._lent_mib == 0.0
        assert answer(engine, SHORT, 8) == alone


def test_where_values_of_all_cells_lie_between_each_other_no_cell_is_lent(
    starter: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(LibraryLog, "flash_attention", lambda _log: False)
    with caplog.at_level("INFO"), streaming(starter) as engine:
        assert "they stay in memory" in caplog.text
        answer(engine, SHORT, 4)
        assert 0 < engine._weights._lent_mib < 8  # what a prompt is computed in


def test_a_prompt_is_not_kept_waiting_for_weights_that_come_to_stay(starter: Path) -> None:
    """What is lent is taken up behind the prompt: the first token comes as early as ever."""
    with streaming(starter) as engine:
        events = engine.stream(
            [Message(role=Role.USER, content=SHORT)], SamplingSettings(max_tokens=4)
        )
        next(events)
        assert engine._weights._lent_mib == 0.0
        events.close()


def test_a_context_of_a_size_that_was_not_reckoned_keeps_its_memory() -> None:
    memory = ContextMemory(Ggml(library().api._lib), 12_345_678, 256)
    with memory.catching():
        pass
    memory.lay_out()
    assert memory.bytes_behind(0) == memory.scratch_bytes == 0
    memory.forget(0)


class Ordinary:
    """ggml's ordinary type, as llama.cpp asks it for memory."""

    def __init__(self) -> None:
        lib, word = library().api._lib, ctypes.c_size_t
        self.type = ctypes.CFUNCTYPE(word)(("ggml_backend_cpu_buffer_type", lib))()
        self.buffer = ctypes.CFUNCTYPE(word, word, word)(("ggml_backend_buft_alloc_buffer", lib))
        self.base = ctypes.CFUNCTYPE(word, word)(("ggml_backend_buffer_get_base", lib))
        self.clear = ctypes.CFUNCTYPE(None, word, ctypes.c_uint8)(
            ("ggml_backend_buffer_clear", lib)
        )
        self.free = ctypes.CFUNCTYPE(None, word)(("ggml_backend_buffer_free", lib))


def test_only_what_the_calling_thread_makes_is_caught() -> None:
    ordinary, catch = Ordinary(), Catch(Ggml(library().api._lib), MIB)
    others: list[int] = []

    def other() -> None:
        others.append(ordinary.buffer(ordinary.type, MIB))

    with catch.catching():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        small = ordinary.buffer(ordinary.type, 4096)
        ours = ordinary.buffer(ordinary.type, MIB)
    later = ordinary.buffer(ordinary.type, MIB)
    caught = catch.those(0)
    assert [each.region.address for each in caught] == [ordinary.base(ours)]
    caught[0].region.bytes[:3] = b"abc"
    ordinary.clear(ours, 0)
    assert bytes(caught[0].region.bytes[:3]) == bytes(3)
    for buffer in (small, ours, later, *others):
        ordinary.free(buffer)
    assert catch.those(0) == []


def test_a_short_conversation_reads_what_the_bill_said(starter_int8: Path) -> None:
    with CPUInference(
        starter_int8, memory_budget=274, swap_enabled=True, window_mib=100.0, context_length=2048
    ) as model:
        bill = model.loaded.bill
        model.generate(SHORT, max_tokens=8)
        stats = model.weights_stats
    assert stats is not None
    assert 0 < bill.short_streamed_mib < bill.streamed_mib - 30
    assert stats.streamed_mib == pytest.approx(bill.short_streamed_mib, abs=7)  # 256 cells or 512

"""Weights use the context's memory until its cells are needed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.library import LibraryLog, library
from deepseek_r1.engine.llama.runner import LlamaEngine
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference import CPUInference
from deepseek_r1.memory.cost_model import kv_cache_bytes
from deepseek_r1.weights.ggml.buffer_type import KVMemory
from deepseek_r1.weights.ggml.tensor_layout import Ggml
from deepseek_r1.weights.residency import plan_residency

pytestmark = [pytest.mark.integration]

MIB = 1 << 20
SETTINGS = LoadSettings(
    context_length=2048, micro_batch=64, kv_type=KVType.F16, threads=1, threads_prefill=1
)
SHORT, LONG = "Hello.", "The sea is deep and the sky is wide. " * 60
MIDDLE = "Go on: " + "The sea is deep and the sky is wide. " * 18
WEIGHTS_MIB = 42.0
SHALLOW_MIB = 32.0  # for the shallow starter: a fifth of its blocks

Streaming = Callable[[], AbstractContextManager[LlamaEngine]]


@contextmanager
def streaming(model, settings=SETTINGS, weights_mib=WEIGHTS_MIB):
    header = read_header(model)
    engine = LlamaEngine(
        OpenRequest(
            header, settings, 3, lambda _fraction: True, plan_residency(header, weights_mib)
        )
    )
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def shallow_streaming(shallow_starter: Path) -> Streaming:
    return lambda: streaming(shallow_starter, weights_mib=SHALLOW_MIB)


def answer(engine: LlamaEngine, prompt: str, tokens: int) -> str:
    chosen = SamplingSettings(temperature=0.0, max_tokens=tokens, end_repetition=False)
    text = ""
    for event in engine.stream(AnswerRequest([Message(role=Role.USER, content=prompt)], chosen)):
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


def test_weights_have_the_memory_of_unused_cells(starter: Path) -> None:
    with streaming(starter) as engine:
        before = pinned_mib(engine)
        answer(engine, SHORT, 3)
        short = pinned_mib(engine)
        answer(engine, LONG, 3)
        long, cells = pinned_mib(engine), engine._computing.kv_reclaim.cells
        answer(engine, SHORT, 3)
        again = pinned_mib(engine)
        cell = kv_cache_bytes(read_header(starter), SETTINGS) / 2048 / MIB
    assert short > before + 30  # of 45 MiB of cells, and what prompts are computed in
    assert cells >= 768
    assert short - long == pytest.approx(cell * (cells - 256), abs=2.5)  # a matrix more or less
    assert again == short


def test_cells_that_are_added_during_an_answer_do_not_change_it(shallow_streaming):
    with shallow_streaming() as engine:
        engine._computing.kv_reclaim = None
        calm = answer(engine, MIDDLE, 60)
    with shallow_streaming() as engine:
        assert answer(engine, MIDDLE, 1)
        assert engine._computing.kv_reclaim is not None
        assert engine._computing.kv_reclaim.cells == 256
        assert answer(engine, MIDDLE, 60) == calm
        assert engine._computing.kv_reclaim.cells == 512


@pytest.mark.slow
def test_conversations_in_turns_give_the_answers_that_each_gives_alone(shallow_streaming):
    """Cells that were released and used again hold nothing of their old content."""
    asked = (SHORT, LONG, MIDDLE, LONG + "Why?", SHORT, MIDDLE + LONG)
    alone = []
    for text in asked:
        with shallow_streaming() as engine:
            engine._computing.kv_reclaim = None
            alone.append(answer(engine, text, 10))
    with shallow_streaming() as engine:
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
        answer(engine, LONG[: len(LONG) // 2], 2)  # more than 256 tokens
        answer(engine, SHORT, 2)
        assert engine._weights.reclaimable_mib > 150
        assert engine.weights_stats.streamed_mib == 0.0
        assert anonymous_mib() - before < 92 + 40  # all weights, and no cell but the first


def test_answers_that_come_together_have_the_whole_context(shallow_streaming: Streaming) -> None:
    chosen = SamplingSettings(temperature=0.0, max_tokens=8)
    asked = [[Message(role=Role.USER, content=text)] for text in (SHORT, LONG, SHORT)]
    with shallow_streaming() as engine:
        alone = answer(engine, SHORT, 8)
        together = engine.complete_many(asked, chosen)
        assert [each.stats.completion_tokens > 0 for each in together] == [True] * 3
        assert engine._weights.reclaimable_mib == 0.0
        assert answer(engine, SHORT, 8) == alone


def test_without_flash_attention_weights_get_no_memory_of_cells(starter, monkeypatch, caplog):
    monkeypatch.setattr(LibraryLog, "flash_attention", lambda _log: False)
    with caplog.at_level("INFO"), streaming(starter) as engine:
        assert "cannot be reclaimed" in caplog.text
        answer(engine, SHORT, 4)
        assert 0 <= engine._weights.reclaimable_mib < 8  # what a prompt is computed in


def test_a_prompt_does_not_wait_for_weights_to_be_pinned(shallow_streaming: Streaming) -> None:
    """The memory is used after the prompt, so the first token comes as early as ever."""
    with shallow_streaming() as engine:
        events = engine.stream(
            AnswerRequest([Message(role=Role.USER, content=SHORT)], SamplingSettings(max_tokens=4))
        )
        next(events)
        assert engine._weights.reclaimable_mib == 0.0
        events.close()


def test_a_context_of_an_unexpected_size_keeps_its_memory() -> None:
    memory = KVMemory(Ggml(library().functions), 12_345_678, 256)
    with memory.intercept():
        pass
    memory.find_cells()
    assert memory.bytes_from(0) == memory.scratch_bytes == 0
    memory.release_cells(0)


def test_a_short_conversation_reads_what_the_bill_predicts(starter_int8: Path) -> None:
    with CPUInference(
        starter_int8, memory_budget=274, swap_enabled=True, window_mib=100.0, context_length=2048
    ) as model:
        bill = model.loaded.bill
        model.generate(SHORT, max_tokens=8)
        stats = model.weights_stats
    assert stats is not None
    assert 0 < bill.short_streamed_mib < bill.streamed_mib - 30
    assert stats.streamed_mib == pytest.approx(bill.short_streamed_mib, abs=7)  # 256 cells or 512

"""Experts of a mixture are streamed one by one, and the logits do not change."""

import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.settings import CacheStrategy, LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.answer.answer import AnswerParts, RecentAnswers
from deepseek_r1.engine.llama.batching import SequenceBatch, answer_all
from deepseek_r1.engine.llama.binding.context import AbortedError
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.prompt.prompt_builder import PromptBuilder
from deepseek_r1.engine.prompt.template import ChatTemplate
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.memory.plan import ProcessOverhead, plan_streaming
from deepseek_r1.weights import experts
from deepseek_r1.weights.experts import ExpertStreamer
from deepseek_r1.weights.residency import (
    MIB,
    cache_strategy,
    expert_layers,
    least_weights_mib,
    plan_residency,
)
from deepseek_r1.weights.resident_memory import ResidentMemory
from support.gguf_files import tiny_mixture, tiny_qwen3
from support.mixtures import EXPERTS, tiny_deepseek2, tiny_qwen3moe
from support.page_cache import pages_in_memory
from support.split import split
from support.streaming import FIRST, Bench, budgets, likeliest, loaded
from support.windows_memory import committed_pages

pytestmark = [pytest.mark.integration]
Make = Callable[[Path], Path]
MIXTURES = [tiny_mixture, tiny_qwen3moe, tiny_deepseek2]
STRATEGIES = [CacheStrategy.PINNED, CacheStrategy.LRU, CacheStrategy.LFU]
# Each strategy with the plain mixture; how another one lies in its file has nothing to do with it.
PAIRS = [*product(MIXTURES[:1], STRATEGIES), *product(MIXTURES[1:], [CacheStrategy.LFU])]


def mib_for(path: Path, share: float) -> float:
    """MiB that hold this share of the experts, and all other weights."""
    header = read_header(path)
    experts = sum(layer.nbytes for layer in expert_layers(header)) / MIB
    return budgets(path)[-1] - (1 - share) * experts


def used_strategy(path: Path, mib: float, wanted: CacheStrategy) -> CacheStrategy:
    header = read_header(path)
    return cache_strategy(expert_layers(header), plan_residency(header, mib).experts_bytes, wanted)


@pytest.mark.parametrize(("make", "strategy"), PAIRS)
def test_logits_are_those_of_the_model_in_memory(make, strategy, tmp_path):
    path = make(tmp_path / "model.gguf")

    @cache
    def resident(tokens_at_once: int) -> list[bytes]:
        with loaded(path, None, micro_batch=tokens_at_once) as bench:
            return bench.answer(FIRST, 8)

    for mib in (budgets(path)[0], mib_for(path, 0.5), mib_for(path, 0.8)):
        for micro_batch in (1, 16):
            with loaded(path, mib, micro_batch=micro_batch, strategy=strategy) as bench:
                assert bench.answer(FIRST, 8) == resident(bench.context.max_batch_tokens)
                stats = bench.weights.stats
                assert stats.strategy is used_strategy(path, mib, strategy)
                assert stats.expert_hits + stats.expert_misses > 0


@pytest.mark.parametrize(("make", "strategy"), PAIRS)
def test_a_budget_that_moves_during_an_answer_changes_nothing_but_memory(make, strategy, tmp_path):
    path = make(tmp_path / "model.gguf")
    with loaded(path, None) as bench:
        resident = bench.answer(FIRST, 15)
    ways = (mib_for(path, 1.0), budgets(path)[0], mib_for(path, 0.4), mib_for(path, 0.9))
    with loaded(path, mib_for(path, 0.6), strategy=strategy) as bench:
        logits = [bench.logits(FIRST)]
        for mib in (*ways, ways[1]):
            bench.set_weights_mib(mib)
            bench.weights.apply_residency()
            capacity = plan_residency(read_header(path), mib).experts_mib
            assert bench.weights.stats.experts_mib <= capacity
            for _ in range(3):
                logits.append(bench.logits([likeliest(logits[-1])]))
                assert bench.weights.stats.experts_mib <= capacity
    assert logits == resident


def test_resident_experts_take_no_more_memory_than_is_counted(tmp_path: Path) -> None:
    """The kernel reports which pages of the tensors are in memory."""
    path = tiny_qwen3moe(tmp_path / "model.gguf")
    edges = sum(2 * len(layer.tensors) for layer in expert_layers(read_header(path)))
    with loaded(path, mib_for(path, 0.3), micro_batch=1, strategy=CacheStrategy.LRU) as bench:
        weights = [each for layer in bench.weights._experts._layers for each in layer]
        seen = []
        for token in FIRST:
            bench.logits([token])
            pages = sum(weight_pages(bench, weight) for weight in weights)
            assert pages * PAGE <= bench.weights.stats.experts_mib * MIB + edges * PAGE
            seen.append(pages)
        assert max(seen) > edges
        bench.set_weights_mib(least_weights_mib(read_header(path)))
        bench.weights.apply_residency()
        assert sum(weight_pages(bench, weight) for weight in weights) < max(seen)


def weight_pages(bench: Bench, weight) -> int:
    start = bench.weights._resident.address(weight)
    first, last = page_down(start), page_up(start + weight.nbytes)
    if sys.platform == "win32":
        return committed_pages(first, last - first)
    return pages_in_memory(first, last - first)


def test_what_is_in_memory_is_not_read_again(tmp_path: Path) -> None:
    path = tiny_qwen3moe(tmp_path / "model.gguf")
    with loaded(path, mib_for(path, 1.0), micro_batch=1) as bench:
        for _ in range(2):
            bench.context.clear()
            bench.answer(FIRST, 4)
            read = bench.weights.stats.read_mib
            misses = bench.weights.stats.expert_misses
        bench.context.clear()
        bench.answer(FIRST, 4)
        stats = bench.weights.stats
        assert (stats.read_mib, stats.expert_misses) == (read, misses)
        assert stats.expert_hits > 5 * misses
        assert (
            stats.experts_mib
            <= sum(layer.nbytes for layer in expert_layers(read_header(path))) / MIB
        )


def test_only_experts_that_are_needed_are_read(tmp_path: Path) -> None:
    path = tiny_qwen3moe(tmp_path / "model.gguf")
    with loaded(path, mib_for(path, 1.0), micro_batch=1) as bench:
        bench.logits([7])
        assert bench.weights.stats.expert_misses == 2 * 2  # two of eight in each of two layers
        layers = expert_layers(read_header(path))
        assert bench.weights.stats.read_mib * MIB <= 2 * 2 * layers[0].expert_bytes * 1.5


def test_in_an_unknown_graph_the_answer_fails_with_a_sentence(tmp_path, monkeypatch):
    """As if a routing were stored as another type of number."""
    monkeypatch.setattr(experts, "TYPE_I32", 27)
    path = tiny_qwen3moe(tmp_path / "model.gguf")
    with (
        loaded(path, mib_for(path, 0.7)) as bench,
        pytest.raises(EngineFailed, match=r"the routing of .* was not found"),
    ):
        bench.logits(FIRST)


@pytest.mark.slow
@pytest.mark.quiet
def test_an_abort_ends_the_reading_of_experts_at_once(tmp_path, monkeypatch):
    path = tiny_qwen3moe(tmp_path / "model.gguf")
    with loaded(path, None, micro_batch=16) as bench:
        resident = bench.answer(FIRST, 4)
    read = ResidentMemory.read

    def slowly(memory: ResidentMemory, part: int, start: int, end: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        read(memory, part, start, end)

    with loaded(path, mib_for(path, 0.7), micro_batch=16) as bench:
        monkeypatch.setattr(ResidentMemory, "read", slowly)
        require = ExpertStreamer._require

        def stopped_inside(self: ExpertStreamer, layer: int, uses: dict[int, int]) -> None:
            bench.context.abort.set()
            require(self, layer, uses)
            assert self._kept.nbytes == 0

        monkeypatch.setattr(ExpertStreamer, "_require", stopped_inside)
        began = time.perf_counter()
        with pytest.raises(AbortedError):
            bench.logits(FIRST)
        assert time.perf_counter() - began < 0.2
        monkeypatch.undo()
        bench.context.abort.clear()
        assert bench.answer(FIRST, 4) == resident


@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen3moe])
def test_a_model_in_several_files_streams_too(make: Make, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.gguf")
    parts = split(whole, tmp_path / "part")
    assert len(parts) >= 3
    with loaded(whole, None) as bench:
        resident = bench.answer(FIRST, 6)
    mib = mib_for(whole, 0.6)
    with loaded(parts[0], mib) as bench:
        logits = [bench.logits(FIRST)]
        for count in range(6):
            if count == 3:
                bench.set_weights_mib((budgets(whole)[0] + 2 * mib) / 3)
            logits.append(bench.logits([likeliest(logits[-1])]))
        assert logits == resident
        assert bench.weights.stats.read_mib > 0


@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen3moe])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_several_answers_together_are_those_of_the_model_in_memory(make, share, tmp_path):
    """With the least memory of a mixture not even a token of each is computed together."""
    path = make(tmp_path / "model.gguf")
    sampling = SamplingSettings(temperature=0.0, max_tokens=8)
    least, _, whole = budgets(path)

    def answers(bench: Bench) -> list[str]:
        def poll() -> None:
            if bench.weights is not None:
                bench.weights.apply_residency()

        parts = AnswerParts(
            library(),
            bench.model,
            SimpleNamespace(context=bench.context, poll=poll, cancelled=False),
            PromptBuilder(ChatTemplate("{{ messages[0].content }}"), bench.model),
            reasons=False,
            recent=RecentAnswers(bench.model.token_text),
        )
        prompts = [RawPrompt(tokens=tuple(FIRST[start:])) for start in (0, 9, 25, 31)]
        return [answer.text for answer in answer_all(SequenceBatch(parts), prompts, sampling)]

    mib = least + share * (whole - least)
    with loaded(path, mib, sequences=3) as bench:
        texts, at_once = answers(bench), bench.context.max_batch_tokens
    assert at_once == (1 if share == 0.0 and make is tiny_qwen3moe else 16)
    assert len(set(texts)) > 1
    with loaded(path, None, sequences=3, micro_batch=at_once) as bench:
        assert answers(bench) == texts


def test_the_bill_of_a_mixture_has_a_line_for_its_experts(tmp_path: Path) -> None:
    header = read_header(tiny_qwen3moe(tmp_path / "model.gguf"))
    settings = LoadSettings(memory_budget=256, context_length=512, swap_enabled=True)
    for window_mib in (100.0, 175.0):
        bill = plan_streaming(header, settings, ProcessOverhead(window_mib=window_mib)).bill
        assert [line.name for line in bill.lines][:3] == ["pinned", "slots", "experts"]
    assert header.experts == EXPERTS

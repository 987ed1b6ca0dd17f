"""Weights from the disk compute the same as weights in memory, bit by bit, and tell failures."""

import os
import shutil
import sys
import time
from functools import cache
from pathlib import Path

import psutil
import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineFailed, LoadStopped, ModelLoadFailed
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama.binding.context import AbortedError
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference import loading
from deepseek_r1.inference.loading import open_engine
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.weights.residency import least_weights_mib, plan_residency
from deepseek_r1.weights.streamed_weights import StreamedWeights
from support.gguf_files import tiny_llama, tiny_mixture, tiny_qwen2, tiny_qwen3
from support.mixtures import tiny_deepseek2
from support.patience import wait_until
from support.raw_gguf import U32, RawGguf
from support.streaming import FIRST, budgets, likeliest, loaded
from support.windows_memory import under_wine

pytestmark = [pytest.mark.integration]

MODELS = [tiny_llama, tiny_qwen2, tiny_qwen3, tiny_mixture, tiny_deepseek2]
QUESTION = [Message(role=Role.USER, content="Tell me about the sea and the sky.")]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("micro_batch", [1, 16, 64])
def test_logits_are_those_of_the_model_in_memory(make, micro_batch, tmp_path):
    path = make(tmp_path / "model.gguf")

    @cache
    def resident(tokens_at_once: int) -> list[bytes]:
        with loaded(path, None, micro_batch=tokens_at_once) as bench:
            return bench.answer(FIRST, 6)

    assert len(set(resident(micro_batch))) > 3
    for mib in budgets(path):
        with loaded(path, mib, micro_batch=micro_batch) as bench:
            assert bench.answer(FIRST, 6) == resident(bench.context.max_batch_tokens), f"{mib} MiB"
            assert bench.weights is not None
            assert bench.weights.stats.passes > 0 or mib == budgets(path)[-1]


@pytest.mark.parametrize("make", MODELS)
def test_the_order_that_is_guessed_is_the_order_of_the_computation(make, tmp_path):
    path = make(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[0]) as bench:
        assert bench.weights is not None
        guessed = bench.weights._prefetch.order
        bench.answer(FIRST, 2)
        assert bench.weights._prefetch.order == guessed
        assert bench.weights._temporary.read_bytes == 0


def dense_mib(weights: StreamedWeights) -> float:
    """Pinned MiB without the experts, of which there are more or fewer from token to token."""
    return weights.stats.pinned_mib - weights.stats.experts_mib


@pytest.mark.parametrize("make", MODELS)
def test_a_budget_that_moves_during_an_answer_changes_nothing_but_memory(make, tmp_path):
    path = make(tmp_path / "model.gguf")
    with loaded(path, None) as bench:
        resident = bench.answer(FIRST, 15)
    least, some, whole = budgets(path)
    with loaded(path, some) as bench:
        weights = bench.weights
        assert weights is not None
        logits, pinned = [bench.logits(FIRST)], [dense_mib(weights)]
        for mib in (whole, least, some, least, whole):
            bench.set_weights_mib(mib)
            for _ in range(3):
                logits.append(bench.logits([likeliest(logits[-1])]))
            pinned.append(dense_mib(weights))
    assert logits == resident
    assert pinned[2] == pinned[4] < pinned[0] == pinned[3] < pinned[1] == pinned[5]


def test_the_wait_for_a_row_of_the_embedding_is_a_wait_for_the_disk(tmp_path: Path) -> None:
    path = tiny_qwen2(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[-1]) as bench:
        assert bench.weights is not None
        before = bench.weights.stats
        bench.answer(FIRST, 3)
        after = bench.weights.stats
        assert (before.streamed_mib, before.io_wait_s) == (0.0, 0.0)
        assert after.read_mib > before.read_mib
        assert after.io_wait_s > 0


def test_reads_through_the_page_cache_give_the_same(tmp_path: Path) -> None:
    path = tiny_qwen2(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[0]) as bench:
        direct = bench.answer(FIRST, 3)
    with loaded(path, budgets(path)[0], direct=False) as bench:
        assert bench.answer(FIRST, 3) == direct
        assert bench.weights is not None
        assert not bench.weights.stats.direct


def test_an_abort_in_the_middle_leaves_the_next_answer_right(tmp_path: Path) -> None:
    path = tiny_qwen3(tmp_path / "model.gguf")
    with loaded(path, None) as bench:
        resident = bench.answer(FIRST, 4)
    with loaded(path, budgets(path)[0]) as bench:
        for _ in range(3):
            bench.context.clear()
            bench.context.abort.set()
            with pytest.raises(AbortedError):
                bench.logits(FIRST)
            bench.context.abort.clear()
            assert bench.answer(FIRST, 4) == resident


def test_what_is_kept_of_a_conversation_is_not_computed_again(tmp_path: Path) -> None:
    path = tiny_qwen2(tmp_path / "model.gguf")
    with loaded(path, None) as bench:
        resident = bench.logits([*FIRST, 7, 9, 11])
    with loaded(path, budgets(path)[1]) as bench:
        bench.answer(FIRST, 3)
        kept = common_length(bench.context.cells, [*FIRST, 7, 9, 11])
        assert bench.context.truncate(kept) >= len(FIRST)
        # Another division into batches rounds otherwise; so begin again for the comparison.
        bench.context.clear()
        assert bench.logits([*FIRST, 7, 9, 11]) == resident


@pytest.mark.slow
def test_the_real_model_gives_the_same_answer(starter: Path) -> None:
    """A model in memory has repacked weights, so a close call may fall the other way late in it."""
    header = read_header(starter)
    settings = LoadSettings(context_length=512, micro_batch=64, threads=1, threads_prefill=1)
    greedy = SamplingSettings(temperature=0.0, max_tokens=24)

    def answer(weights_mib: float | None, disturb: bool = False) -> str:
        residency = None if weights_mib is None else plan_residency(header, weights_mib)
        engine = open_engine(
            OpenRequest(header, settings, 1, lambda _fraction: True, residency=residency)
        )
        try:
            text = ""
            for count, event in enumerate(engine.stream(AnswerRequest(QUESTION, greedy))):
                text += getattr(event, "text", "")
                if disturb and count in (5, 15):
                    engine.set_residency(plan_residency(header, 60.0 if count == 5 else 110.0))
            return text
        finally:
            engine.close()

    pinned = answer(110.0)
    assert len(pinned) > 60
    assert answer(45.0) == pinned
    assert answer(90.0, disturb=True) == pinned
    assert answer(None)[:12] == pinned[:12]


def test_a_file_that_is_cut_while_streaming_fails_with_a_sentence(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    whole, found = path.read_bytes(), path.stat()
    with loaded(path, None) as bench:
        resident = bench.answer(FIRST, 4)
    with loaded(path, budgets(path)[0]) as bench:
        assert bench.answer(FIRST, 4) == resident
        os.truncate(path, len(whole) // 3)
        bench.context.clear()
        with pytest.raises(EngineFailed, match=r"model\.gguf is shorter than it was"):
            bench.answer(FIRST, 4)
        path.write_bytes(whole)  # answers go on when the file is back
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        bench.context.abort.clear()
        bench.context.clear()
        assert bench.answer(FIRST, 4) == resident


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cuts no open file")
@pytest.mark.parametrize("make", MODELS)
def test_a_read_that_fails_after_the_budget_moved_ends_no_process(make, tmp_path):
    path = make(tmp_path / "model.gguf")
    whole, found = path.read_bytes(), path.stat()
    least, some, _ = budgets(path)
    with loaded(path, least) as bench:
        right = bench.answer(FIRST, 4)
        for nbytes in range(0, len(whole), len(whole) // 5):
            for mib in (some, least):  # the ring, where the tensors point to, is freed
                bench.set_weights_mib(mib)
                os.truncate(path, nbytes)
                with pytest.raises(EngineFailed, match=r"model\.gguf"):
                    bench.answer(FIRST, 1)
                path.write_bytes(whole)
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
                bench.context.abort.clear()
                bench.context.clear()
        assert bench.answer(FIRST, 4) == right


def test_a_file_that_is_overwritten_while_streaming_fails_with_a_sentence(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    other = bytes(reversed(path.read_bytes()))
    with loaded(path, budgets(path)[0]) as bench:
        bench.answer(FIRST, 2)
        changed = path.stat().st_mtime_ns + 1_000_000
        with path.open("r+b") as file:  # the same file, not another one of its name
            file.write(other)
        os.utime(path, ns=(changed, changed))  # whatever the clock's resolution is
        bench.context.clear()
        with pytest.raises(EngineFailed, match=r"model\.gguf was changed"):
            bench.answer(FIRST, 4)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no open file")
def test_a_file_that_is_replaced_is_read_as_it_was(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[0]) as bench:
        before = bench.answer(FIRST, 2)
        other = tmp_path / "other.gguf"
        other.write_bytes(bytes(100))
        other.replace(path)
        bench.context.clear()
        assert bench.answer(FIRST, 2) == before


def test_a_file_that_is_replaced_while_it_is_loaded_is_refused(starter, tmp_path, monkeypatch):
    # What pytest holds would count as the engine's.
    monkeypatch.setattr(loading, "process_mib", lambda _pid: 0.0)
    path, other = tmp_path / "model.gguf", tmp_path / "model.part"
    shutil.copyfile(starter, path)
    RawGguf.parse(starter.read_bytes()).set("general.note", U32, 1).lay_out().write(other)
    options = {"memory_budget": 328, "context_length": 512, "swap_enabled": True}
    with pytest.raises(ModelLoadFailed, match=r"model\.gguf was changed while"):
        CPUInference(
            path, window_mib=150.0, on_accepted=lambda _plan: other.replace(path), **options
        )
    with CPUInference(path, window_mib=150.0, **options) as model:
        assert model.weights_stats is not None
        assert "Paris" in model.generate("What is the capital of France?", temperature=0)


def test_a_graph_that_looks_into_a_streamed_weight_is_refused(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[0]) as bench:
        bench.logits(FIRST)
        weights = bench.weights
        streamed = weights._prefetch.order[0]
        weights._tensors.viewed.add(streamed)  # what `on_tensor` does when a graph has a view of it
        weights._tensors.on_viewed(streamed)
        with pytest.raises(EngineFailed, match="while others look into it"):
            bench.logits([7])


@pytest.mark.parametrize("make", [tiny_qwen2, tiny_mixture])
def test_threads_and_files_are_gone_after_the_end(make, tmp_path):
    path = make(tmp_path / "model.gguf")
    with loaded(path, budgets(path)[0]) as bench:  # what the library keeps for itself
        bench.logits(FIRST)
    before = psutil.Process().num_threads(), _open_files(path)
    with loaded(path, budgets(path)[0]) as bench:
        bench.logits(FIRST)
        running = psutil.Process().num_threads()
        assert _open_files(path) > before[1] or under_wine()  # which counts no handles
    assert _open_files(path) == before[1]
    # Those of the first one may have been counted on their way out.
    wait_until(lambda: psutil.Process().num_threads() <= min(before[0], running - 1))


def _open_files(path: Path) -> int:
    if sys.platform == "win32":
        return psutil.Process().num_handles()
    links = list(Path("/proc/self/fd").iterdir())
    return sum(link.exists() and link.samefile(path) for link in links)


def test_stopping_the_load_leaves_nothing(starter: Path) -> None:
    header = read_header(starter)
    request = OpenRequest(
        header, LoadSettings(), 1, lambda fraction: fraction < 0.2, plan_residency(header, 60.0)
    )
    with pytest.raises(LoadStopped):
        open_engine(request)  # the first one starts what the process keeps, such as the renderer
    before = psutil.Process().num_threads()
    with pytest.raises(LoadStopped):
        open_engine(request)
    wait_until(lambda: psutil.Process().num_threads() <= before)


def test_loading_reads_no_byte_that_is_streamed(tmp_path: Path, starter: Path) -> None:
    """What the kernel read for us is what is pinned, what the ring holds, and the header."""
    path = shutil.copy(starter, tmp_path / "copy.gguf")
    before = _read_bytes()
    with loaded(Path(path), 45.0) as bench:
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            time.sleep(0.05)
        assert bench.weights is not None
        stats = bench.weights.stats
        read_mib = (_read_bytes() - before) / (1 << 20)
    assert read_mib < stats.pinned_mib + stats.slots_mib + 12.0
    assert stats.streamed_mib > 40.0


def _read_bytes() -> int:
    if sys.platform == "win32":
        return psutil.Process().io_counters().read_bytes
    counters = Path("/proc/self/io").read_text().split()
    return int(counters[counters.index("rchar:") + 1])


TOKENS, EVERY = 3000, 300


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's counters")
def test_long_answers_from_the_disk_take_no_more_memory(tmp_path: Path) -> None:
    """10,000 tokens of one answer are in docs/measurements/streaming.md."""
    header = read_header(tiny_qwen2(tmp_path / "model.gguf"))
    settings = LoadSettings(context_length=512, swap_enabled=True, threads=1)
    residency = plan_residency(header, least_weights_mib(header))
    engine = open_engine(OpenRequest(header, settings, 1, lambda _: True, residency))
    question = [Message(role=Role.USER, content="Write on and on about a dragon.")]
    written, readings = 0, []
    while written < TOKENS:
        sampling = SamplingSettings(temperature=0.9, max_tokens=TOKENS - written)
        *_, last = engine.stream(AnswerRequest(question, sampling))
        assert isinstance(last, GenerationFinished)
        written += last.stats.completion_tokens
        if written // EVERY > len(readings):
            readings.append(process_mib(os.getpid()))
    stats = engine.weights_stats
    engine.close()
    assert stats is not None
    assert stats.read_mib > 10
    assert max(readings[3:]) < readings[3] + 1.0

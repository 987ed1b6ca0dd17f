"""A model's files, vocabulary and context, and llama.cpp's own errors."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deepseek_r1.core.errors import ModelLoadFailed, SystemTooTight
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.engine.llama.binding.context import AbortedError, ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel, load_failed
from deepseek_r1.engine.llama.computing import Computing
from deepseek_r1.engine.llama.prefill import PromptPrefill
from deepseek_r1.engine.llama.speculative.drafting import DraftMemory
from deepseek_r1.engine.llama.threads import EngineThreads
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_llama
from support.split import tiny_in_two_files

pytestmark = pytest.mark.integration


def test_llama_cpps_own_error_reaches_the_user(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelLoadFailed) as caught:
        LlamaModel(library(), [broken], lambda _fraction: True)
    assert "no reason given" not in str(caught.value)
    assert isinstance(load_failed("", "failed to allocate buffer for kv cache"), SystemTooTight)


def test_a_model_in_several_files_is_loaded_from_the_list_given(tmp_path: Path) -> None:
    parts = [
        part.rename(tmp_path / name)  # which says nothing
        for part, name in zip(tiny_in_two_files(tmp_path), ("b.gguf", "a.gguf"), strict=True)
    ]
    with closing(LlamaModel(library(), parts, lambda _fraction: True)) as model:
        assert model.vocabulary == read_header(tiny_llama(tmp_path / "whole.gguf")).vocabulary
    with pytest.raises(ModelLoadFailed):
        LlamaModel(library(), parts[:1] * 2, lambda _fraction: True)


def test_r1_thinks_with_its_own_tokens(r1_shaped: Path) -> None:
    with closing(LlamaModel(library(), [r1_shaped], lambda _fraction: True)) as model:
        (opened,) = model.tokenize("<think>", special=True)
        assert model.piece(opened) == b"<think>"
        assert model.piece(model.bos) == b""
        assert model.is_end(model.tokenize("<｜end▁of▁sentence｜>", special=True)[0])


@pytest.fixture
def context(starter_weights: LlamaModel) -> Iterator[LlamaContext]:
    shape = ContextParams(4096, 2048, KVType.F16, sequences=1, threads=1, threads_prefill=1)
    made = LlamaContext(library(), starter_weights, shape)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.quiet
def test_the_abort_ends_one_long_call_and_leaves_the_context_usable(context: LlamaContext) -> None:
    tokens = list(range(1000, 3048))
    before = tokens[:64]
    started = time.monotonic()
    context.compute(tokens)
    whole_s = time.monotonic() - started
    context.truncate(0)
    context.compute(before)
    set_at: list[float] = []

    def abort() -> None:
        time.sleep(whole_s / 8)  # the first call may have shared the processor
        set_at.append(time.monotonic())
        context.abort.set()

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(AbortedError):
        context.compute(tokens)
    ended_at = time.monotonic()
    thread.join()
    assert ended_at - set_at[0] < whole_s / 25  # what one operation takes, not a layer of 30
    assert context.cells == before
    context.abort.clear()
    context.compute(tokens[64:128])
    assert context.used == 128


def test_only_the_common_beginning_is_kept(context: LlamaContext) -> None:
    threads = EngineThreads(LoadSettings(threads=1, threads_prefill=1))
    drafts = DraftMemory(None, None, None, lambda _residency: None, lambda _mib: None)
    prefill = PromptPrefill(Computing(context, threads, drafts, None, None), None)

    def kept(prompt: list[int]) -> int:
        output = GenerationOutput(thinking_open=False, started=0.0)
        return next(prefill.run(prompt, output, whole_pieces=False)).cached

    context.compute([10, 11, 12, 13])
    assert kept([10, 11, 99, 13]) == 2
    assert kept([10, 11]) == 1  # the last one is computed again for its logits
    assert context.cells == [10]

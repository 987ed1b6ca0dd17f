"""llama.cpp beneath: its log, its errors, split files, and the abort inside one long call."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.core.errors import ModelLoadFailed, TemplateUnusable
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.llama.context import AbortedError, ContextShape, LlamaContext
from deepseek_r1.engine.llama.library import LibraryLog, library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.registry import open_engine
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_qwen2
from support.raw_gguf import I32, U16, RawGguf

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def starter_weights(starter: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(library(), [starter], lambda _fraction: True)
    yield model
    model.close()


@pytest.fixture
def context(starter_weights: LlamaModel) -> Iterator[LlamaContext]:
    shape = ContextShape(4096, 2048, KVType.F16, sequences=1, threads=1, threads_prefill=1)
    made = LlamaContext(library(), starter_weights, shape)
    yield made
    made.close()


def test_importing_the_engine_stays_light() -> None:
    """The binding's package would bring its high-level class, numpy and more."""
    code = (
        "import sys; from deepseek_r1.engine.llama.library import library; library(); "
        "print([name for name in ('numpy', 'llama_cpp.llama', 'diskcache') if name in sys.modules])"
    )
    app = Path(__file__).parents[2] / "app"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=app, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""  # and llama.cpp prints nothing


def test_the_abort_ends_one_long_call_and_leaves_the_context_usable(context: LlamaContext) -> None:
    tokens = list(range(1000, 3048))
    before = tokens[:64]
    context.compute(before)
    set_at: list[float] = []

    def abort() -> None:
        time.sleep(0.5)
        set_at.append(time.monotonic())
        context.abort.set()

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(AbortedError):
        context.compute(tokens)
    ended_at = time.monotonic()
    thread.join()
    assert ended_at - set_at[0] < 0.2
    assert context.cells == before
    context.abort.clear()
    context.compute(tokens[64:128])
    assert context.used == 128


def test_only_the_common_beginning_is_kept(context: LlamaContext) -> None:
    context.compute([10, 11, 12, 13])
    assert context.keep_prefix([10, 11, 99, 13]) == 2
    assert context.keep_prefix([10, 11]) == 1  # the last one is computed again for its logits
    assert context.cells == [10]


def test_llama_cpps_own_words_reach_the_user(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelLoadFailed) as caught:
        LlamaModel(library(), [broken], lambda _fraction: True)
    assert "no reason given" not in str(caught.value)


def test_a_model_in_several_files_is_loaded_from_the_list_given(tmp_path: Path) -> None:
    whole = tiny_qwen2(tmp_path / "whole.gguf")
    parts = split(whole, tmp_path, ["b.gguf", "a.gguf"])  # names that say nothing
    model = LlamaModel(library(), parts, lambda _fraction: True)
    try:
        assert model.vocabulary == read_header(whole).vocabulary
    finally:
        model.close()
    with pytest.raises(ModelLoadFailed):
        LlamaModel(library(), parts[:1] * 2, lambda _fraction: True)


def split(whole: Path, folder: Path, names: list[str]) -> list[Path]:
    """The tensors of `whole`, dealt out to one file for each of `names`."""
    sound = RawGguf.parse(whole.read_bytes())
    paths = []
    for number, name in enumerate(names):
        part = sound.copy()
        part.keys = part.keys if number == 0 else []
        part.tensors = part.tensors[number :: len(names)]
        part.set("split.no", U16, number).set("split.count", U16, len(names))
        part.set("split.tensors.count", I32, len(sound.tensors)).lay_out()
        paths.append(part.write(folder / name))
    return paths


def test_no_template_no_model(starter: Path) -> None:
    header = replace(read_header(starter), template=None)
    heard: list[float] = []
    request = OpenRequest(header, LoadSettings(), 1, lambda f: heard.append(f) is None)
    with pytest.raises(TemplateUnusable):
        open_engine(request)
    assert heard == []  # found out before the weights were read


def test_r1_thinks_with_its_own_tokens(r1_shaped: Path) -> None:
    model = LlamaModel(library(), [r1_shaped], lambda _fraction: True)
    try:
        (opened,) = model.tokenize("<think>", special=True)
        assert model.piece(opened) == b"<think>"
        assert model.piece(model.bos) == b""
        assert model.is_end(model.tokenize("<｜end▁of▁sentence｜>", special=True)[0])
    finally:
        model.close()


def test_r1s_file_opens_and_writes(r1_shaped: Path) -> None:
    settings = LoadSettings(context_length=512)
    engine = open_engine(OpenRequest(read_header(r1_shaped), settings, 1, lambda _fraction: True))
    try:
        assert engine.reasons
        question = [Message(role=Role.USER, content="Hello")]
        assert engine.count_tokens(question) == 4  # begin, user, Hello, assistant
        events = list(engine.stream(question, SamplingSettings(max_tokens=8, seed=1)))
        assert events[-1].kind == "generation_finished"
    finally:
        engine.close()


class TestLog:
    def test_sizes_of_buffers_are_added_up(self) -> None:
        log = LibraryLog()
        log.add(2, b"load_tensors:          CPU model buffer size =   463.35 MiB\n")
        log.add(2, b"load_tensors:   CPU_REPACK model buffer size =   596.53 MiB\n")
        log.add(2, b"llama_kv_cache:        CPU KV buffer size =   112.00 MiB\n")
        assert log.buffers_mib() == {"weights": pytest.approx(1059.88), "kv_cache": 112.0}

    def test_a_line_may_come_in_pieces(self) -> None:
        log = LibraryLog()
        log.add(4, b"error: ")
        log.add(5, "größer\n".encode())
        assert log.last_error() == "error: größer"

    def test_chatter_pushes_nothing_out(self) -> None:
        log = LibraryLog()
        log.add(4, b"it broke\n")
        for _ in range(5000):
            log.add(1, b"create_tensor: ")
            log.add(5, b"done\n")
        assert log.last_error() == "it broke"

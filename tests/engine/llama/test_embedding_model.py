"""An embedding model beside the chat model: what it says, what it takes, what is refused."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import AsyncCPUInference, CPUInference
from deepseek_r1.core.errors import (
    ArchitectureUnknown,
    EmbeddingModelUnfit,
    EngineFailed,
    ModelFileDamaged,
    ModelFileMissing,
    ModelFileTruncated,
    WrongUsage,
)
from deepseek_r1.core.events import BillItem
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.meter import unshared_mib
from support.gguf_files import EMBEDDING, tiny_bert, tiny_llama
from support.raw_gguf import U32, RawGguf

pytestmark = pytest.mark.integration
QUESTION, OTHERS = "who keeps gate 7?", ("oak and stone", "the warden", "a b c d")


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert.gguf")


@pytest.fixture
def model(tmp_path: Path, embedder: Path) -> Iterator[CPUInference]:
    chat = tiny_llama(tmp_path / "chat.gguf")
    with CPUInference(chat, embedding_model=embedder, thread_count=1) as opened:
        yield opened


def test_the_passage_that_is_the_question_is_the_nearest(model: CPUInference):
    first, *others = model.similarities(QUESTION, [QUESTION, *OTHERS])
    assert first == pytest.approx(1.0)
    assert all(-1.0 <= each < 0.999 for each in others)
    assert len(set(others)) == len(OTHERS)


def test_an_event_loop_gets_the_same(model: CPUInference, tmp_path: Path, embedder: Path):
    async def similarities() -> list[float]:
        chat = tmp_path / "chat.gguf"
        async with AsyncCPUInference(chat, embedding_model=embedder, thread_count=1) as other:
            return await other.similarities(QUESTION, OTHERS)

    assert asyncio.run(similarities()) == pytest.approx(model.similarities(QUESTION, OTHERS))


def test_it_embeds_texts_in_place_of_the_chat_model(model: CPUInference, tmp_path: Path):
    assert model.loaded.facts.embedding_model == "Tiny bert"
    (vector,) = model.embed([QUESTION])
    assert len(vector) == EMBEDDING
    with CPUInference(tmp_path / "chat.gguf", thread_count=1) as alone:
        assert alone.embed([QUESTION])[0] != pytest.approx(vector, abs=0.1)
        with pytest.raises(WrongUsage, match="No embedding model is loaded"):
            alone.similarities(QUESTION, OTHERS)


def test_a_text_longer_than_it_reads_is_embedded_by_its_beginning(model: CPUInference):
    long, same_beginning = ("word " * 3000 + end for end in ("", "and more"))
    one, other = model.embed([long, same_beginning])
    assert one == pytest.approx(other)


def test_answers_go_on_as_without_it(model: CPUInference, tmp_path: Path):
    with CPUInference(tmp_path / "chat.gguf", thread_count=1) as alone:
        expected = alone.generate(QUESTION, max_tokens=8, temperature=0)
    model.similarities(QUESTION, OTHERS)
    assert model.generate(QUESTION, max_tokens=8, temperature=0) == expected


def test_questions_and_passages_of_e5_have_the_words_it_was_trained_with(model, tmp_path):
    (plain,) = model.similarities(f"query: {QUESTION}", [f"passage: {OTHERS[0]}"])
    path = tiny_bert(tmp_path / "e5.gguf", name="Multilingual E5 Small")
    with CPUInference(tmp_path / "chat.gguf", embedding_model=path, thread_count=1) as e5:
        assert e5.similarities(QUESTION, [OTHERS[0]]) == pytest.approx([plain])


def test_a_cancel_ends_the_comparing(model: CPUInference):
    stop = threading.Timer(0.2, model.cancel)
    stop.start()
    with pytest.raises(EngineFailed, match="stopped"):
        model.similarities(QUESTION, OTHERS * 20_000)
    stop.join()
    assert model.similarities(QUESTION, OTHERS)


def test_it_has_a_line_of_the_bill_that_holds_what_it_takes(model: CPUInference, tmp_path: Path):
    line = next(each for each in model.loaded.bill.lines if each.name is BillItem.EMBEDDING)
    assert line.measured_mib
    assert line.measured_mib <= line.planned_mib
    with CPUInference(tmp_path / "chat.gguf", thread_count=1) as alone:
        assert BillItem.EMBEDDING not in {each.name for each in alone.loaded.bill.lines}


def test_tokens_of_a_large_vocabulary_take_no_rows_of_logits(tmp_path: Path):
    path = tiny_bert(tmp_path / "large.gguf", words=60_000)
    chat = tiny_llama(tmp_path / "chat.gguf")
    with CPUInference(chat, thread_count=1) as alone:
        alone.generate(QUESTION, max_tokens=1)
    before_mib = unshared_mib(os.getpid())
    with CPUInference(chat, embedding_model=path, thread_count=1) as model:
        model.similarities(QUESTION, ["word " * 600])
        line = next(each for each in model.loaded.bill.lines if each.name is BillItem.EMBEDDING)
        grown_mib = unshared_mib(os.getpid()) - before_mib
    assert grown_mib < line.planned_mib + 30, "512 rows would be 117 MiB"


def test_a_chat_model_cannot_compare_and_an_embedding_model_cannot_chat(tmp_path, embedder):
    chat = tiny_llama(tmp_path / "chat.gguf")
    with pytest.raises(EmbeddingModelUnfit, match="llama"):
        CPUInference(chat, embedding_model=chat)
    with pytest.raises(ArchitectureUnknown, match="bert"):
        CPUInference(embedder)
    with pytest.raises(ModelFileMissing):
        CPUInference(chat, embedding_model=tmp_path / "gone.gguf")


@pytest.mark.parametrize("pooling", [0, 4, 9])
def test_one_that_makes_no_vector_of_a_text_is_refused(tmp_path: Path, pooling: int):
    path = tmp_path / "bert.gguf"
    sound = RawGguf.parse(tiny_bert(path).read_bytes())
    sound.set("bert.pooling_type", U32, pooling).write(path)
    with pytest.raises(ModelFileDamaged, match="pooling_type"):
        read_header(path, embedding=True)


def test_weights_that_are_no_numbers_end_in_an_error(tmp_path: Path, model: CPUInference):
    sound = tiny_bert(tmp_path / "bert.gguf").read_bytes()
    (path := tmp_path / "nan.gguf").write_bytes(sound[:-4096] + b"\xff" * 4096)
    with (
        CPUInference(tmp_path / "chat.gguf", embedding_model=path) as broken,
        pytest.raises(EngineFailed),
    ):
        broken.similarities(QUESTION, OTHERS)


def test_a_damaged_embedding_model_is_refused_before_it_is_loaded(tmp_path: Path, embedder: Path):
    whole = embedder.read_bytes()
    sound = read_header(embedder, embedding=True)
    assert sound.vocabulary
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(whole[: len(whole) - 64])
    with pytest.raises(ModelFileTruncated):
        read_header(damaged, embedding=True)

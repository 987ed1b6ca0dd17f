"""The library and the command line answer about documents and say what they sent."""

import asyncio
import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1 import AsyncCPUInference, CPUInference, GenerationFinished
from deepseek_r1.cli.answering import read_documents
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationStats
from deepseek_r1.core.messages import Message, PartialAnswer, RawPrompt, Role
from deepseek_r1.documents import attached_documents
from deepseek_r1.documents.attached_documents import add_data, add_documents
from deepseek_r1.documents.document import Document, Passage, Place, Source
from deepseek_r1.documents.document_prompt import plan
from deepseek_r1.documents.errors import DocumentRefused
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading import file_sha256, read_document
from deepseek_r1.documents.sources import SourcedAnswer
from deepseek_r1.engine.interface import GenerationResult
from documents.test_document_prompt import Model
from support.command import run
from support.forced_answers import CITING
from support.gguf_files import tiny_bert
from support.patience import PATIENCE_S

DIARY = "The ferry sails at noon.\n\nThe harbour was closed in May.\n\nBread costs two francs.\n"
QUESTION = "When was the harbour closed?"


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary.txt"
    path.write_text(DIARY, encoding="utf-8")
    return path


def asked(text: str = QUESTION) -> list[Message]:
    return [Message(role=Role.USER, content=text)]


def test_a_document_is_read_once_and_put_before_the_question(diary: Path):
    index = DocumentIndex()
    (sha256,) = add_documents(index, diary)
    assert add_documents(index, diary) == [sha256]
    assert list(index.added) == [sha256]
    planned = plan(index, [sha256], asked(), 3584, Model())
    assert planned.whole
    assert "closed in May" in planned.messages[0].content


def test_what_cannot_be_read_leaves_the_other_documents(diary: Path, capsys):
    diary.with_name("broken.pdf").write_bytes(b"%PDF-1.7")
    read_documents([diary.parent], index := DocumentIndex())
    assert len(index.added) == 1
    assert "broken.pdf is damaged." in capsys.readouterr().err
    with pytest.raises(DocumentRefused):
        read_documents([diary.with_name("broken.pdf")], DocumentIndex())
    (empty := diary.parent / "empty").mkdir()
    read_documents([empty, diary], index := DocumentIndex())
    assert len(index.added) == 1
    with pytest.raises(DocumentRefused, match="empty is empty"):
        read_documents([empty], DocumentIndex())


def test_data_that_is_no_file_can_be_read_and_forgotten(diary: Path):
    index = DocumentIndex()
    sha256 = add_data(index, diary.read_bytes(), "diary.txt")
    planned = plan(index, [sha256], asked(), 3584, Model())
    assert planned.sources[0].passage.name == "diary.txt"
    index.remove(sha256)
    assert list(index.added) == []
    with pytest.raises(LookupError):
        plan(index, [sha256], asked(), 3584, Model())


def finished() -> GenerationFinished:
    stats = GenerationStats(
        finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1, thinking_tokens=0
    )
    return GenerationFinished(stats=stats)


def test_a_continued_answer_has_cited_what_its_beginning_cites():
    passage = Passage("a" * 64, "diary.txt", 0, Place(), "closed in May", 0, 13)
    sourced = SourcedAnswer([Source(1, passage)], "", PartialAnswer(text="In May [1]"))
    sourced(AnswerDelta(text=", it says."))
    assert sourced(finished()).sources[0].cited


@pytest.mark.slow
def test_an_answer_about_a_picture_names_it_also_where_it_cites_nothing():
    texts = (
        ("It was closed.", Place(page=1)),
        ("Gate 45.", Place(page=2, sure=0.97)),
        ("Commas end a name.", Place(page=3, sure=0.96)),
    )
    passages = (
        Passage("a" * 64, "a.pdf", n, place, text, 0, 9) for n, (text, place) in enumerate(texts)
    )
    sourced = SourcedAnswer([Source(n, each) for n, each in enumerate(passages, 1)], "")
    sourced(AnswerDelta(text="I do not know."))
    (source,) = sourced(finished()).sources
    assert (source.n, source.cited, source.picture_confidence) == (2, False, 0.97)
    sourced(AnswerDelta(text=" No commas."))
    assert sourced(finished()).sources[0].page == 3  # the one with its words


def test_the_library_answers_about_documents(shallow_starter, diary, tmp_path):
    with CPUInference(shallow_starter, context_length=1024) as model:
        answer = model.complete(QUESTION, documents=[diary], json_schema=CITING)
        assert answer.stats.prompt_tokens > 60
        assert [each.document for each in answer.sources] == ["diary.txt"]
        *_, last = model.stream(QUESTION, documents=[diary], json_schema=CITING)
        assert isinstance(last, GenerationFinished)
        assert last.sources[0].text.startswith("The ferry")
        assert model.generate([QUESTION, "Bread?"], 4, documents=[diary])[1] is not None
        with pytest.raises(WrongUsage):
            model.generate(RawPrompt(text="x"), 4, documents=[diary])
        with pytest.raises(DocumentRefused):
            model.generate(QUESTION, 4, documents=[tmp_path / "none.pdf"])


@pytest.mark.integration
def test_an_embedding_model_orders_what_is_found_in_the_library_and_the_command_line(
    shallow_starter: Path, tmp_path: Path
):
    embedder, diary = tiny_bert(tmp_path / "bert.gguf"), tmp_path / "diary.txt"
    days = (f"Day {n}. The harbour was closed.\n" + f"{n} gulls. " * 80 for n in range(16))
    diary.write_text("\n\n".join(days), encoding="utf-8")

    def sources(**options: Path) -> list[str]:
        with CPUInference(shallow_starter, context_length=2048, **options) as model:
            answer = model.complete(QUESTION, documents=[diary], json_schema=CITING)
            return [each.text for each in answer.sources]

    by_both = sources(embedding_model=embedder)
    assert by_both != sources()
    (schema := tmp_path / "schema.json").write_text(json.dumps(CITING), encoding="utf-8")
    options = ["--model", shallow_starter, "--context-length", "2048", "--json-schema", schema]
    more = ["--embedding-model", embedder, "--document", diary]
    made = run("generate", QUESTION, *options, *more, "--json")
    assert [each["text"] for each in json.loads(made.stdout)["sources"]] == by_both


@pytest.mark.integration
def test_a_file_that_is_being_written_to_is_in_the_prompt(shallow_starter, tmp_path, monkeypatch):
    (log := tmp_path / "app.log").write_text(DIARY, encoding="utf-8")

    def hash_then_write(path: Path, name: str = "") -> str:
        sha256 = file_sha256(path, name)
        with log.open("a", encoding="utf-8") as file:
            file.write("The service wrote a line.\n")
        return sha256

    monkeypatch.setattr(attached_documents, "file_sha256", hash_then_write)
    with CPUInference(shallow_starter, context_length=1024) as model:
        answer = model.complete(QUESTION, documents=[log], json_schema=CITING)
    assert [each.document for each in answer.sources] == ["app.log"]


@pytest.mark.integration
def test_a_cancel_ends_the_reading_of_documents_and_the_answer(shallow_starter, diary, monkeypatch):
    begun, slow_s = threading.Event(), PATIENCE_S

    def read_slowly(path: Path, *, stop: threading.Event | None, **more: Any) -> Document:
        begun.set()
        (stop or threading.Event()).wait(slow_s)
        return read_document(path, stop=stop, **more)

    monkeypatch.setattr(attached_documents, "read_document", read_slowly)
    answers: list[GenerationResult] = []
    with CPUInference(shallow_starter, context_length=1024) as model:

        def ask() -> None:
            answers.append(model.complete(QUESTION, 4, documents=[diary]))

        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(PATIENCE_S)
        model.cancel()
        thread.join(PATIENCE_S)
    assert answers[0].stats.finish_reason is FinishReason.CANCELLED

    async def cancelled_after_s() -> float:
        async with AsyncCPUInference(shallow_starter, context_length=1024) as model:
            begun.clear()
            task = asyncio.create_task(model.generate(QUESTION, 4, documents=[diary]))
            await asyncio.to_thread(begun.wait, PATIENCE_S)
            began = time.monotonic()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return time.monotonic() - began

    assert asyncio.run(cancelled_after_s()) < slow_s / 2


@pytest.mark.slow
def test_the_command_line_answers_about_documents(starter: Path, diary: Path):
    options = ["--model", starter, "--context-length", "1024", "--max-tokens", "6"]
    (schema := diary.with_name("schema.json")).write_text(json.dumps(CITING), encoding="utf-8")
    citing = ["--json-schema", schema, "--max-tokens", "40"]
    made = run("generate", QUESTION, *options, *citing, "--document", diary, "--json")
    (source,) = json.loads(made.stdout)["sources"]
    assert {"n", "document", "page", "text", "cited"} <= source.keys()
    assert source["document"] == "diary.txt"
    refused = run("generate", QUESTION, *options, "--document", diary.parent / "none.pdf")
    assert refused.returncode == 1
    assert "none.pdf" in refused.stderr
    text = f"/document {diary}\n{QUESTION}\n/document -\n"
    chat = run("chat", *options, text=text)
    assert chat.returncode == 0, chat.stderr
    assert "Attached documents: 1" in chat.stderr

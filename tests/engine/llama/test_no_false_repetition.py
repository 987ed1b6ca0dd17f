"""Ordinary answers, code and tables are no repetitions, with the tokens of a real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.repetition import RepetitionDetector
from support.answer_corpus import answers

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
FILES = 100


@pytest.fixture(scope="module")
def vocabulary(starter: Path) -> Iterator[LlamaModel]:
    loaded = LlamaModel(library(), [starter], lambda _fraction: True)
    yield loaded
    loaded.close()


def texts() -> Iterator[tuple[str, str]]:
    """A hundred answers, every document, and code of this tree: Python, C++, TOML."""
    for number, answer in enumerate(answers()):
        yield f"answer {number}", answer
    documents = [
        ROOT / "README.md",
        ROOT / "README.zh-CN.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    native = sorted((ROOT / "app" / "deepseek_r1" / "native").glob("*.[ch]pp"))
    code = sorted((ROOT / "app").rglob("*.py"), key=lambda file: -file.stat().st_size)
    for file in [*documents, *native, ROOT / "pyproject.toml", *code[:FILES]]:
        yield str(file.relative_to(ROOT)), file.read_text("utf-8")
    yield "multiplication table", table(10)
    yield "table of zeros", "| a | b | c |\n| --- | --- | --- |\n" + "| 0 | 0 | 0 |\n" * 8
    yield "json", "[\n" + '  {"id": 0, "tags": []},\n' * 5 + "]\n"
    yield "a poem with a refrain", "Row, row, row your boat,\nGently down the stream.\n\n" * 4


def table(size: int) -> str:
    numbers = range(1, size + 1)
    return "".join("| " + " | ".join(str(a * b) for b in numbers) + " |\n" for a in numbers)


def repeats(vocabulary: LlamaModel, text: str) -> str:
    """The text up to a repetition that was found; empty without one."""
    detector, so_far = RepetitionDetector(), b""
    for token in vocabulary.tokenize(text, special=False):
        piece = vocabulary.piece(token)
        so_far += piece
        if detector.observe([token], piece):
            return so_far[-300:].decode("utf-8", "replace")
    return ""


def test_ordinary_texts_are_no_repetition(vocabulary: LlamaModel) -> None:
    corpus = dict(texts())
    assert len(corpus) >= 200
    assert {
        name: found for name, text in corpus.items() if (found := repeats(vocabulary, text))
    } == {}

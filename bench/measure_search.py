"""Prints the numbers of docs/measurements/documents.md.

python bench/measure_search.py questions FOLDER     FOLDER is of make_texts.py
python bench/measure_search.py embedding FOLDER MODEL   of make_embedding_model.py
python bench/measure_search.py messages FOLDER     behind a question about something else
python bench/measure_search.py index FOLDER         1,000 documents, 200 MB
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).parents[1] / "app")]

from deepseek_r1 import CPUInference
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.paths import starter_model
from deepseek_r1.documents.document import Block, Document, Place
from deepseek_r1.documents.document_prompt import nearest_first, plan
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.passages import estimated_tokens, passages
from deepseek_r1.documents.reading import read_document
from deepseek_r1.memory.meter import unshared_mib

Search = Callable[[str], list[int | None]]  # a question to the pages of the first three passages
FOLLOW_UPS = {
    "en": ("And the other one?", "Why is that?", "Tell me more.", "And the second?", "And if not?"),
    "zh": ("那另一个呢？", "为什么是这样？", "多讲一点。", "第二个呢？", "如果不是呢？"),
}
QUESTIONS = Path(__file__).with_name("questions.tsv")
ESTIMATING = SimpleNamespace(count_tokens=estimated_tokens)


def document_of(folder: Path, text: str, language: str) -> Document:
    if text == "guide":
        return read_document(folder / f"guide.{language}.pdf")
    pages = json.loads((folder / f"{text}.{language}.json").read_text(encoding="utf-8"))
    return made(f"{text}.{language}", pages)


def made(name: str, pages: list[list[tuple[str, str]]]) -> Document:
    numbered = (
        (Place(n, heading), text) for n, page in enumerate(pages, 1) for heading, text in page
    )
    blocks = tuple(Block(text, place) for place, text in numbered)
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return Document(name, sha256, "text", len(pages), blocks)


def questions(text: str, language: str) -> Iterator[tuple[str, set[int]]]:
    first = 1 if language == "en" else 3
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if fields[0] == text:
            yield fields[first], {int(page) for page in fields[first + 1].split(",")}


def ours(document: Document) -> Search:
    index = DocumentIndex()
    index.add(document)
    return lambda question: [
        each.place.page for each in index.search(question, [document.sha256], 3)
    ]


def plain(tokenizer: str) -> Callable[[Document], Search]:
    """FTS5 as it comes: the words of a question as they are, any of them."""

    def made_for(document: Document) -> Search:
        db = sqlite3.connect(":memory:")
        db.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, tokenize='{tokenizer}')")
        parts = list(passages(document))
        texts = enumerate(each.text for each in parts)
        db.executemany("INSERT INTO t (rowid, text) VALUES (?, ?)", texts)

        def search(question: str) -> list[int | None]:
            words = "".join(c if c.isalnum() else " " for c in question).split()
            if tokenizer == "trigram":
                words = [w[at : at + 3] for w in words for at in range(max(1, len(w) - 2))]
            match = " OR ".join(f'"{word}"' for word in words)
            rows = db.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank LIMIT 3", (match,))
            return [parts[row[0]].place.page for row in rows]

        return search

    return made_for


def measure_questions(folder: Path) -> None:
    ways = {"ours": ours, "unicode61": plain("unicode61"), "trigram": plain("trigram")}
    _measure(folder, ways)


def measure_embedding(folder: Path, path: str) -> None:
    """With an embedding model, beside the starter; its own memory is the difference of the two."""
    with CPUInference(starter_model()) as alone:
        planned, taken = alone.loaded.bill.total_mib, unshared_mib(os.getpid())
    with CPUInference(starter_model(), embedding_model=path) as model:
        began = time.perf_counter()
        similar = model.similarities("What is it?", ["A passage of a text. " * 50])
        print(f"one passage {1000 * (time.perf_counter() - began):.0f} ms, {similar}")

        def made_for(document: Document) -> Search:
            index = DocumentIndex()
            index.add(document)
            shas = [document.sha256]
            return lambda question: [
                each.place.page
                for each in nearest_first(index.search(question, shas, 20), question, model)[:3]
            ]

        _measure(folder, {"ours and the embedding model": made_for})
        planned, taken = (model.loaded.bill.total_mib - planned, unshared_mib(os.getpid()) - taken)
        print(f"the embedding model's memory: planned {planned:.0f} MiB, taken {taken:.0f}")


def pages_sent(index: DocumentIndex, sha256: str, *given: str) -> list[int | None]:
    """Of a document, for the last of these questions."""
    messages = [Message(role=Role.USER, content=each) for each in given]
    made = plan(index, [sha256], messages, 4_000, ESTIMATING, must_send=False)
    return [each.passage.place.page for each in made.sources]


def measure_messages(folder: Path) -> None:
    """What is sent for questions, and for messages that are not about the document."""
    rows = Path(__file__).with_name("messages.tsv").read_text(encoding="utf-8").splitlines()[1:]
    others = dict(
        zip(("en", "zh"), zip(*(row.split("\t") for row in rows), strict=True), strict=True)
    )
    for text in ("guide", "handbook", "faq", "help"):
        for language in ("en", "zh"):
            document = document_of(folder, text, language)
            index = DocumentIndex()
            index.add(document)

            sent = partial(pages_sent, index, document.sha256)
            asked = list(questions(text, language))
            alone = sum(bool(pages & {*sent(q)}) for q, pages in asked)
            pairs = list(zip(asked, asked[1:] + asked[:1], strict=True))
            behind = sum(bool(pages & {*sent(before, q)}) for (before, _), (q, pages) in pairs)
            nothing = sum(not sent(q) for q, _ in asked)
            greeted = sum(bool(sent(each)) for each in others[language])
            first = asked[0][0]
            later = sum(bool(sent(first, each)) for each in others[language])
            follow_ups = FOLLOW_UPS[language]
            followed = sum(bool(pages & {*sent(q, f)}) for q, pages in asked for f in follow_ups)
            print(
                f"{text} {language}: found {alone} of {len(asked)}, {behind} behind another one; "
                f"nothing is sent for {nothing}; {followed} of {len(asked) * len(follow_ups)} "
                f"follow-ups; sent for {greeted} of {len(rows)} messages, {later} behind another",
                flush=True,
            )


def _measure(folder: Path, ways: dict[str, Callable[[Document], Search]]) -> None:
    for text in ("guide", "handbook", "faq", "help"):
        for language in ("en", "zh"):
            document = document_of(folder, text, language)
            for name, way in ways.items():
                began = time.perf_counter()
                search = way(document)
                indexed = time.perf_counter()
                found = [bool(pages & {*search(q)}) for q, pages in questions(text, language)]
                each_ms = (time.perf_counter() - indexed) / len(found) * 1000
                print(
                    f"{text} {language} {name}: {sum(found)} of {len(found)}, indexed in "
                    f"{indexed - began:.2f} s, a question {each_ms:.1f} ms",
                    flush=True,
                )


def measure_index(folder: Path) -> None:
    """A thousand documents of 200 KB: pages of the books in another order."""
    pages = [
        page
        for language in ("en", "zh")
        for page in json.loads((folder / f"handbook.{language}.json").read_text(encoding="utf-8"))
    ]
    with tempfile.TemporaryDirectory() as place:
        index = DocumentIndex(path := Path(place, "documents.db"))
        began, total, slowest = time.perf_counter(), 0, 0.0
        for number in range(1000):
            chosen = [pages[(number * 7919 + at * 104_729) % len(pages)] for at in range(110)]
            document = made(
                f"document {number}", [[*page, ("", f"number{number}")] for page in chosen]
            )
            total += len(document.text().encode())
            at = time.perf_counter()
            index.add(document)
            slowest = max(slowest, time.perf_counter() - at)
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        cpu = time.process_time()
        print(f"{total / 1e6:.0f} MB in {took:.0f} s, {cpu:.0f} s of a core")
        print(f"slowest document {slowest * 1000:.0f} ms")
        print(f"file {path.stat().st_size / 1e6:.0f} MB, peak {peak} MiB")
        everything = [each.sha256 for each in index.documents()]
        for shas in (everything, everything[500:501]):
            times = []
            for language in ("en", "zh"):
                for question, _ in questions("handbook", language):
                    at = time.perf_counter()
                    index.search(question, shas)
                    times.append((time.perf_counter() - at) * 1000)
            times.sort()
            print(f"search of {len(shas)}: median {times[50]:.0f} ms, 95 % {times[95]:.0f} ms")


if __name__ == "__main__":
    ways = {
        "questions": measure_questions,
        "embedding": measure_embedding,
        "messages": measure_messages,
        "index": measure_index,
    }
    ways[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])

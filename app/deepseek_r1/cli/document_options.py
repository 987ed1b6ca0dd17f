"""The documents that a question is about: read with a status line, listed below the answer."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from getpass import getpass
from pathlib import Path

from deepseek_r1.cli import console
from deepseek_r1.core.events import AnswerSource, Event, ModelLoaded
from deepseek_r1.core.i18n import join_list, tr
from deepseek_r1.core.messages import Message, PartialAnswer, RawPrompt
from deepseek_r1.core.settings import SamplingSettings, most_prompt_tokens
from deepseek_r1.documents.attached_documents import add_documents
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.document_prompt import plan
from deepseek_r1.documents.errors import DocumentRefused, PdfLocked
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reader_protocol import PASSWORD_CHARACTERS
from deepseek_r1.documents.reading_memory import ReadingMemory
from deepseek_r1.documents.sources import SourcedAnswer
from deepseek_r1.host.client import EngineClient


def read_documents(
    paths: Iterable[Path], documents: DocumentIndex, memory: ReadingMemory | None = None
) -> None:
    """Read documents, beside those that are there; `memory` as in `read_document`.

    What is refused is said, and the others are read. Raises DocumentRefused where none is left.
    """
    refused: list[DocumentRefused] = []
    try:
        for path in paths:
            console.status(tr("Reading {name}…", name=path.name))
            try:
                add_documents(
                    documents,
                    path.expanduser(),
                    on_refused=refused.append,
                    password_for=_password_for,
                    memory=memory,
                )
            except DocumentRefused as error:  # a folder without documents, or with too many
                refused.append(error)
    finally:
        console.status("")
    if refused and not documents.added:
        raise refused[0]
    for each in refused:
        console.note(str(each))


def _password_for(locked: PdfLocked) -> str:
    """A PDF's password, asked at the terminal: an option's would be seen by other programs."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    console.status("")
    console.note(" ".join(locked.sentences()[:2]))
    asked = tr("Password of {name} (Enter leaves it out): ", name=str(locked.facts["name"]))
    with suppress(EOFError):
        return getpass(console.without_controls(asked))[:PASSWORD_CHARACTERS]
    return ""


def answer_events(
    engine: EngineClient,
    documents: DocumentIndex,
    messages: Sequence[Message] | RawPrompt,
    loaded: ModelLoaded | None,
    sampling: SamplingSettings,
    *,
    continues: PartialAnswer | None = None,
    json_schema: str = "",
) -> Iterator[Event]:
    """Return the events of an answer about the documents, the last one with its sources."""
    sources, question = tuple[Source, ...](), ""
    if documents.added and loaded is not None and not isinstance(messages, RawPrompt):
        most = most_prompt_tokens(loaded.facts.context_length, sampling.max_tokens)
        compares = bool(loaded.facts.embedding_model)
        planned = plan(documents, list(documents.added), messages, most, engine, compares=compares)
        messages, sources, question = planned.messages, planned.sources, planned.asked
        if not planned.whole:
            n = sum(each.passage.sha256 not in planned.documents for each in sources)
            console.aside(tr("The documents are too long, so {n} passages of them are sent.", n=n))
    events = engine.generate(messages, sampling, continues=continues, json_schema=json_schema)
    return map(SourcedAnswer(sources, question, continues), events)


def show_sources(sources: Sequence[AnswerSource], documents: DocumentIndex) -> None:
    """Print the sources of an answer, if there are documents."""
    for each in sources:
        sentence = " ".join(each.sentence.split())
        console.answer(f"[{each.n}] {join_list([each.document, each.place])}: {sentence}\n")
    if documents.added and not sources:
        console.aside(tr("No passage of the documents carries this answer."))

"""The documents of one conversation outside of the window: read, indexed, put into its prompts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from deepseek_r1.core.events import AnswerDelta, AnswerSource, Event, GenerationFinished
from deepseek_r1.core.messages import Message, PartialAnswer
from deepseek_r1.documents.citations import cited
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.document_prompt import DocumentPrompt, plan
from deepseek_r1.documents.errors import DocumentRefused
from deepseek_r1.documents.index import DocumentIndex
from deepseek_r1.documents.reading import document_files, file_sha256, read_document

_EventT = TypeVar("_EventT", bound=Event)
_LISTED: Final = 12  # sources of an answer, beside those that it cites


class AttachedDocuments:
    """Reads documents once and puts them into prompts. For one thread at a time."""

    def __init__(self) -> None:
        self._index = DocumentIndex()  # ends with this object

    @property
    def sha256s(self) -> list[str]:
        """All that were read and not forgotten since, in this order."""
        return list(self._index.added)

    def add(
        self, path: str | Path, *, on_refused: Callable[[DocumentRefused], object] | None = None
    ) -> list[str]:
        """Read a document, or all of a folder, unless that was done; returns their SHA-256.

        `on_refused` gets what cannot be read, and the others are. Raises DocumentRefused without
        it, and DocumentIndexFailed.
        """
        added = []
        for each in document_files(Path(path)):
            try:
                added.append(self._add(each))
            except DocumentRefused as refused:
                if on_refused is None:
                    raise
                on_refused(refused)
        return added

    def _add(self, path: Path, name: str = "", stop: threading.Event | None = None) -> str:
        sha256 = file_sha256(path, name)
        if sha256 not in self._index.added:
            self._index.add(read_document(path, name=name, stop=stop))
        return sha256

    def add_data(self, data: bytes, name: str, stop: threading.Event | None = None) -> str:
        """Read a document that is no file, unless that was done; returns its SHA-256.

        Raises DocumentRefused, soon after `stop` was set too, and DocumentIndexFailed.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "document")
            path.write_bytes(data)
            return self._add(path, name, stop)

    def keep_only(self, sha256s: Collection[str]) -> None:
        """Forget all others."""
        for each in self.sha256s:
            if each not in sha256s:
                self._index.remove(each)

    def prompt(
        self,
        messages: Sequence[Message],
        most_tokens: int,
        count_tokens: Callable[[str], int],
        *,
        sha256s: Sequence[str] | None = None,
    ) -> DocumentPrompt:
        """Plan the prompt of a conversation about all of the documents, or about `sha256s`."""
        asked = self.sha256s if sha256s is None else sha256s
        return plan(self._index, asked, messages, most_tokens, count_tokens)


class SourcedAnswer:
    """Adds the sources to the last event of an answer, or of the continuation of one."""

    def __init__(self, sources: Sequence[Source], continues: PartialAnswer | None = None) -> None:
        self._sources, self._text = sources, continues.text if continues is not None else ""

    def __call__(self, event: _EventT) -> _EventT:
        """Take the next event of the answer, and return it."""
        if isinstance(event, AnswerDelta):
            self._text += event.text
        if not isinstance(event, GenerationFinished) or not self._sources:
            return event
        best = {source.n for source in self._sources[:_LISTED]}
        listed = tuple(
            AnswerSource(
                n=each.n,
                document=each.passage.name,
                page=each.passage.place.page,
                place=each.passage.place.label(),
                text=each.passage.text,
                cited=each.cited,
            )
            for each in cited(self._text, self._sources)
            if each.cited or each.n in best
        )
        return event.model_copy(update={"sources": listed})

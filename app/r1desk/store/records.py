"""Frozen values that the store returns; they may cross threads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.i18n import join_list, tr, trn
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.sources import best_sentence, claims, listed

LATEST_S = 1e11  # a time later than this, in seconds since the epoch, is no time


class MessageState(StrEnum):
    """Progress of a message."""

    COMPLETE = "complete"
    STREAMING = "streaming"  # being written now
    QUEUED = "queued"  # waits for another answer; on disk it is `STREAMING`
    STOPPED = "stopped"  # by the user, or by a window that was killed
    FAILED = "failed"  # the engine failed; what came before is kept


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A conversation as the list shows it. Times are seconds since the epoch."""

    id: int
    title: str
    created_at: float
    updated_at: float  # of the last message; renaming does not move a conversation
    model_path: str = ""
    trashed_at: float | None = None
    preview: str = ""  # the beginning of the last message shown, on one line
    folder_id: int | None = None
    unread: bool = False  # its last answer was finished while it was not shown
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message. `tokens` is 0 where they were not counted.

    One with a `sha256` is a document, whose text is in the index; `content` is text of its own.
    """

    name: str
    content: str = ""
    tokens: Annotated[int, Field(ge=0, le=2**31)] = 0  # held to where one is imported
    sha256: Annotated[str, Field(max_length=64)] = ""
    pages: Annotated[int, Field(ge=0, le=2**31)] = 0  # 0 where the format has none
    searched: bool = False  # the user does not want it read whole


class AnswerSources(BaseModel):
    """The passages of documents that an answer was given, and their tokens.

    `documents`, named by their hashes, were read whole, and only their best passages have a text
    here; `whole`: there were no others. Otherwise `outline` stands behind them, first in the
    prompt. `asked` is the `question` as the model read it, with the passages. `shown` are the
    numbers of the answer's sources, the best first; None before it has ended.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    sent: tuple[Source, ...] = ()
    tokens: Annotated[int, Field(ge=0, le=2**31)] = 0
    whole: bool = False
    documents: tuple[str, ...] = ()
    asked: str = ""
    outline: str = ""
    question: str = ""
    shown: tuple[int, ...] | None = None

    def of_answer(self, answer: str) -> AnswerSources:
        """The same, with what this text cites, and what it is from."""
        found = listed(answer, self.sent, self.question)
        marked = {each.n: each for each in found}
        sent = tuple(marked.get(each.n, each) for each in self.sent)
        return self.model_copy(update={"sent": sent, "shown": tuple(each.n for each in found)})

    def listed(self, answer: str) -> tuple[Source, ...]:
        if self.shown is None:
            return listed(answer, self.sent, self.question)
        sent = {each.n: each for each in self.sent}
        return tuple(sent[n] for n in self.shown if n in sent)

    def by_place(self, answer: str) -> dict[str, Source]:
        """The best source of each place, by its name: "page 3", and "a.pdf, page 3" of several."""
        found = self.listed(answer)
        is_one = len({each.passage.sha256 for each in found}) == 1
        places = dict[str, Source]()
        for each in found:
            sentence = self.sentence(each, answer)
            name, place = each.passage.name, each.passage.place_of(sentence).label()
            places.setdefault(place if is_one and place else join_list([name, place]), each)
        return places

    def sentence(self, source: Source, answer: str) -> str:
        """The sentence of a source that carries what an answer says with it."""
        claim = claims(answer, source.n) or answer
        return best_sentence(source.passage.text, claim, self.question)

    def passages(self) -> tuple[Source, ...]:
        return tuple(s for s in self.sent if s.passage.sha256 not in self.documents)

    def names(self) -> dict[int, str]:
        """The document and the place of each passage, by its number."""
        return {s.n: join_list([s.passage.name, s.passage.place.label()]) for s in self.sent}

    def text(self, answer: str) -> str:
        """The sources of this answer, each below its number and name."""
        names = self.names()
        parts = [f"[{s.n}] {names[s.n]}\n{s.passage.text}".rstrip() for s in self.listed(answer)]
        return "\n\n".join(parts)

    def summary(self, answer: str) -> str:
        """One line: the sources of an answer, and what was sent."""
        if not self.sent and not self.whole:
            return tr("Nothing in the documents fits this message")
        count = len(self.passages())
        passages = trn("{n:,} passage", "{n:,} passages", count)
        documents = trn("whole document", "whole documents", max(1, len(self.documents)))
        sent = (
            documents if self.whole else join_list([documents] * bool(self.documents) + [passages])
        )
        count = len(self.listed(answer))
        found = trn("{n:,} source", "{n:,} sources", count) if count else tr("No source")
        return f"{found} · {sent}"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation's tree.

    `content` is the exact text: Markdown for an answer, plain text for a user. Its place among its
    versions, counted from 0, is filled in where a branch is loaded for the screen.
    """

    id: int
    role: Role
    content: str
    thinking: str = ""
    thinking_s: float = 0.0
    state: MessageState = MessageState.COMPLETE
    stats: GenerationStats | None = None
    error: ErrorReport | None = None
    model_name: str = ""
    conversation_id: int = 0
    parent_id: int | None = None
    created_at: float = 0.0
    attachments: tuple[Attachment, ...] = ()
    edited: bool = False  # an answer that the user wrote or changed
    memory_start: bool = False  # the model reads the branch from here on
    sources: AnswerSources | None = None  # of an answer to a question about documents
    sibling_index: int = 0
    sibling_count: int = 1

    @property
    def is_answer(self) -> bool:
        return self.role == Role.ASSISTANT

    @property
    def error_text(self) -> str:
        return self.error.text() if self.error is not None else ""


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """Settings of a conversation. `sampling` None stands for the application's defaults."""

    model_path: str = ""
    system_prompt: str = ""
    sampling: SamplingSettings | None = None


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """A folder of the list of conversations; `settings` are what its new ones begin with."""

    id: int
    name: str
    settings: ConversationSettings = ConversationSettings()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A conversation found, with its best place.

    `snippet` is plain text on one line. Marks are (start, length) in its Python characters (code
    points). `message_id` is None where only the title matched.
    """

    conversation_id: int
    title: str
    updated_at: float
    message_id: int | None
    snippet: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """Outcome of opening a store."""

    problem: R1Error | None = None  # why it is view-only
    recovered: tuple[int, ...] = ()  # ids of the answers that a killed window left unfinished
    set_aside: Path | None = None  # where a damaged database was copied before it was replaced
    lost_rows: int = 0  # at least so many of it could not be recovered

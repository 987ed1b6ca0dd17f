"""Imports an export, which comes from outside: a child process reads it, in slices.

Between the slices the store does other work. Until the last one the new conversations are hidden;
the next start deletes what an interrupted import left.
"""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildFailure, ChildProgress
from deepseek_r1.core.errors import ProtocolBroken, R1Error
from deepseek_r1.core.file_path import FilePath
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from r1desk.store.archive import (
    ArchivedConversation,
    ArchivedMessage,
    ConversationBegins,
    ConversationWriter,
    Piece,
    archived_message,
)
from r1desk.store.conversation_store import PURGED_AT_ONCE
from r1desk.store.errors import ArchiveUnreadable, ImportStopped
from r1desk.store.foreign_chats import Omitted
from r1desk.store.prompt_store import SavedPrompt
from r1desk.store.records import ChatMessage
from r1desk.store.store import StoreWork

SLICE_MESSAGES = 200
FRAME_BYTES: Final = 64 * 2**20  # one message, if need be; a slice is 64 KiB
MEMORY_BYTES: Final = 2**30

RunInStore = Callable[[StoreWork[Any]], Any]


class ExportRequest(BaseModel):
    """Reads an export from its beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: FilePath
    holds: Literal["conversations", "prompts"] = "conversations"


class ExportSlice(ChildProgress):
    """The next pieces. Only what begins has a digest, only messages have numbers."""

    kind: Literal["slice"] = "slice"
    pieces: tuple[Annotated[Piece, Field(union_mode="left_to_right")], ...]


class ExportRead(BaseModel):
    """An export has been read to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["read"] = "read"
    left_out: dict[Omitted, int] = {}
    prompts: tuple[SavedPrompt, ...] = ()


_Reply = ExportSlice | ExportRead | ChildFailure
_replies: TypeAdapter[_Reply] = TypeAdapter(
    Annotated[_Reply, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)


@dataclass(frozen=True, slots=True)
class ImportedConversations:
    """The ids of the new conversations, how many were here already, and what was left out."""

    ids: tuple[int, ...]
    already_here: int
    left_out: Mapping[Omitted, int] = field(default_factory=dict)


class Import:
    """Stores the conversations of one export as new ones, but for those that are here already.

    Such a one has the same messages from the same time. For a thread that may wait: `run` does work
    in the store and waits for its result.
    """

    def __init__(self, run: RunInStore, stop: threading.Event) -> None:
        self._run, self._stop = run, stop
        self._writer = ConversationWriter()
        self._here: defaultdict[float, list[int]] = defaultdict(list)
        for info in run(lambda store: store.conversations.infos()):
            self._here[info.created_at].append(info.id)
        self._already_here, self._is_here = 0, False

    def check_stop(self, _waited_s: float = 0.0) -> None:
        """Raise ImportStopped once `stop` was set."""
        if self._stop.is_set():
            raise ImportStopped

    def take(self, some: ExportSlice) -> None:
        """Store the next slice. Raises ArchiveUnreadable, ImportStopped, errors of the store."""
        self.check_stop()
        new: list[ArchivedMessage | ArchivedConversation] = []
        for piece in some.pieces:
            if isinstance(piece, ConversationBegins):
                alike = map(self._digest_of_stored, self._here[piece.created_at])
                self._is_here = piece.digest in alike
                self._already_here += self._is_here
            elif not self._is_here:
                new.append(piece)
        if new:
            self._run(lambda store: self._writer.write(store, new))

    def _digest_of_stored(self, conversation_id: int) -> str:
        return digest_of(self._stored(conversation_id))

    def _stored(self, key: int, after: int = 0) -> Iterator[ArchivedMessage]:
        while nodes := self._some(key, after):
            yield from map(archived_message, nodes)
            after = nodes[-1].id

    def _some(self, key: int, after: int) -> Sequence[ChatMessage]:
        some: Sequence[ChatMessage] = self._run(
            lambda store: store.messages.all_of(key, after, SLICE_MESSAGES)
        )
        return some

    def finish(self, left_out: Mapping[Omitted, int]) -> ImportedConversations:
        """Let what was stored be seen."""
        self._run(self._writer.finish)
        return ImportedConversations(tuple(self._writer.ids), self._already_here, left_out)

    def undo(self) -> None:
        """Delete what was stored; what is left the next start deletes."""
        begun = self._writer.begun
        with suppress(R1Error):
            while self._run(lambda store: store.conversations.purge(begun, PURGED_AT_ONCE)):
                pass


def import_export(run: RunInStore, path: Path, stop: threading.Event) -> ImportedConversations:
    """Import a file, a folder or a zip.

    Raises ImportStopped soon after `stop` was set, ArchiveNotRead, ArchiveUnreadable, and errors of
    the store; then nothing is stored.
    """
    importing = Import(run, stop)
    try:
        with _reading_process() as child:
            read: ExportRead = child.ask(
                ExportRequest(path=str(path)),
                on_progress=importing.take,
                on_wait=importing.check_stop,
            )
            return importing.finish(read.left_out)
    except BaseException:
        importing.undo()
        raise


def import_prompts(path: Path) -> tuple[SavedPrompt, ...]:
    """The prompts of an exported library. Raises ArchiveNotRead and ArchiveUnreadable."""
    with _reading_process() as child:
        read: ExportRead = child.ask(ExportRequest(path=str(path), holds="prompts"))
        return read.prompts


@contextmanager
def _reading_process() -> Iterator[ChildCall]:
    """A process for one export. Raises ArchiveUnreadable where it breaks."""
    try:
        with ChildCall(
            ChildKind.EXPORTS,
            _replies,
            most_bytes=FRAME_BYTES,
            memory_bytes=MEMORY_BYTES,
            most_waiting=2,
        ) as child:
            yield child
    except ChildDied as died:
        detail = tr("the process that reads it ended ({how})", how=died.how)
        raise ArchiveUnreadable(detail=detail) from died
    except (OSError, ProtocolBroken) as error:
        raise ArchiveUnreadable(detail=str(error)) from error


def digest_of(messages: Iterable[ArchivedMessage]) -> str:
    """A short form of what makes conversations alike."""
    digest = hashlib.sha256()
    for each in messages:
        digest.update(repr((each.role, each.created_at, each.thinking, each.content)).encode())
    return digest.hexdigest()

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
from r1desk.store.store import Store, StoreWork

SLICE_MESSAGES = 200
FRAME_BYTES: Final = 64 * 2**20  # one message, if need be; a slice is 64 KiB
MEMORY_BYTES: Final = 2**30

RunInStore = Callable[[StoreWork[Any]], Any]  # does work and waits for its result
# Reads an export from its beginning and gives each slice; returns what it left out.
ReadExport = Callable[[Callable[[Sequence[Piece]], object]], Mapping[Omitted, int]]


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


def import_export(run: RunInStore, path: Path, stop: threading.Event) -> ImportedConversations:
    """Import a file, a folder or a zip, as `import_conversations` does, with the same errors.

    Raises ImportStopped soon after `stop` was set, and ArchiveNotRead.
    """

    def check_stop(_waited_s: float = 0.0) -> None:
        if stop.is_set():
            raise ImportStopped

    def read(give: Callable[[Sequence[Piece]], object]) -> Mapping[Omitted, int]:
        def take(some: ExportSlice) -> None:
            check_stop()
            give(some.pieces)

        request = ExportRequest(path=str(path))
        reply: ExportRead = child.ask(request, on_progress=take, on_wait=check_stop)
        return reply.left_out

    with _reading_process() as child:
        return import_conversations(run, read)


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


def import_conversations(run: RunInStore, read: ReadExport) -> ImportedConversations:
    """Store the conversations of an export as new ones, but for those that are here already.

    Such a one has the same messages from the same time. For a thread that may wait. Raises what
    `read` raises, and ArchiveUnreadable; then, as after an error of the store, nothing is stored.
    """
    here: defaultdict[float, list[int]] = defaultdict(list)
    for info in run(lambda store: store.conversations.infos()):
        here[info.created_at].append(info.id)
    writer = ConversationWriter()
    already_here, is_here = 0, False

    def take(pieces: Sequence[Piece]) -> None:
        nonlocal already_here, is_here
        new = []
        for piece in pieces:
            if isinstance(piece, ConversationBegins):
                alike = (digest_of(_stored(run, key)) for key in here[piece.created_at])
                is_here = piece.digest in alike
                already_here += is_here
            elif not is_here:
                new.append(piece)

        def write(store: Store) -> None:
            with store.transaction():
                for piece in new:
                    writer.write(store, piece)

        if new:
            run(write)

    try:
        left_out = read(take)
        run(writer.finish)
    except BaseException:
        with suppress(R1Error):  # else the next start does it
            while run(lambda store: store.conversations.purge(writer.begun, PURGED_AT_ONCE)):
                pass
        raise
    return ImportedConversations(tuple(writer.ids), already_here, left_out)


def digest_of(messages: Iterable[ArchivedMessage]) -> str:
    """A short form of what makes conversations alike."""
    digest = hashlib.sha256()
    for each in messages:
        digest.update(repr((each.role, each.created_at, each.thinking, each.content)).encode())
    return digest.hexdigest()


def _stored(run: RunInStore, conversation_id: int) -> Iterator[ArchivedMessage]:
    last = 0

    def some(store: Store) -> list[ChatMessage]:
        return store.messages.all_of(conversation_id, last, SLICE_MESSAGES)

    while nodes := run(some):
        yield from map(archived_message, nodes)
        last = nodes[-1].id

"""Stores the conversations of an export, which comes from outside: never as a whole.

An export is read and stored in slices, between which the store does other work. Until the last
slice its conversations are hidden; the next start deletes what an interrupted import left.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from deepseek_r1.core.errors import R1Error
from r1desk.store.archive import (
    ArchivedMessage,
    ConversationBegins,
    ConversationWriter,
    Piece,
    archived_message,
)
from r1desk.store.conversation_store import PURGED_AT_ONCE
from r1desk.store.foreign_chats import Omitted
from r1desk.store.records import ChatMessage
from r1desk.store.store import Store, StoreWork

SLICE_MESSAGES = 200

RunInStore = Callable[[StoreWork[Any]], Any]  # does work and waits for its result
# Reads an export from its beginning and gives each slice; returns what it left out.
ReadExport = Callable[[Callable[[Sequence[Piece]], object]], Mapping[Omitted, int]]


@dataclass(frozen=True, slots=True)
class ImportedConversations:
    """The ids of the new conversations, how many were here already, and what was left out."""

    ids: tuple[int, ...]
    already_here: int
    left_out: Mapping[Omitted, int] = field(default_factory=dict)


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

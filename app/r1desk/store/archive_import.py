"""Stores the conversations of an export, which comes from outside: never as a whole.

An export is read to its end and checked before anything of it is stored, then read again and stored
in slices, between which the store does other work. Until the last slice its conversations are
hidden; the next start deletes what an interrupted import left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from deepseek_r1.core.errors import R1Error
from r1desk.store.archive import (
    ArchivedConversation,
    ArchivedMessage,
    ConversationWriter,
    Piece,
    archived_message,
)
from r1desk.store.errors import ArchiveUnreadable
from r1desk.store.foreign_chats import Omitted
from r1desk.store.records import ChatMessage
from r1desk.store.store import Store

MAX_MESSAGES = 250_000  # of one conversation: their numbers are held in memory
SLICE_MESSAGES = 200

RunInStore = Callable[[Callable[[Store], Any]], Any]  # does work and waits for its result
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

    For a thread that may wait. Raises what `read` raises, and ArchiveUnreadable; then, as after an
    error of the store, nothing is stored.
    """
    check = _Check(run)
    left_out = read(check.take)
    ids = _store(run, read, check.is_here)
    return ImportedConversations(tuple(ids), sum(check.is_here), left_out)


class _Check:
    """Whether an export fits together, and which of its conversations are here already.

    Such a one has the same messages from the same time.
    """

    def __init__(self, run: RunInStore) -> None:
        self.is_here: list[bool] = []
        self._run = run
        self._numbers: set[int | None] = {None}
        self._digest = hashlib.sha256()
        self._here: dict[float, list[int]] = {}
        for info in run(lambda store: store.conversations.infos()):
            self._here.setdefault(info.created_at, []).append(info.id)

    def take(self, pieces: Sequence[Piece]) -> None:
        """Check the next slice. Raises ArchiveUnreadable."""
        for piece in pieces:
            if isinstance(piece, ArchivedMessage):
                self._take_message(piece)
            else:
                self._end(piece)

    def _take_message(self, piece: ArchivedMessage) -> None:
        if piece.number in self._numbers or piece.parent not in self._numbers:
            raise ArchiveUnreadable(detail=f"message {piece.number} has no place")
        if len(self._numbers) > MAX_MESSAGES:
            raise ArchiveUnreadable(detail=f"more than {MAX_MESSAGES:,} messages")
        self._numbers.add(piece.number)
        self._digest.update(_content_of(piece))

    def _end(self, piece: ArchivedConversation) -> None:
        if piece.shown not in self._numbers:
            raise ArchiveUnreadable(detail="the message shown is missing")
        alike = (_digest_of(self._run, key) for key in self._here.get(piece.created_at, ()))
        self.is_here.append(self._digest.digest() in alike)
        self._numbers, self._digest = {None}, hashlib.sha256()


def _content_of(message: ArchivedMessage) -> bytes:
    parts = (message.role, message.created_at, message.thinking, message.content)
    return repr(parts).encode()


def _digest_of(run: RunInStore, conversation_id: int) -> bytes:
    digest, last = hashlib.sha256(), 0

    def some(store: Store) -> list[ChatMessage]:
        return store.messages.all_of(conversation_id, last, SLICE_MESSAGES)

    while nodes := run(some):
        for node in nodes:
            digest.update(_content_of(archived_message(node)))
        last = nodes[-1].id
    return digest.digest()


def _store(run: RunInStore, read: ReadExport, is_here: list[bool]) -> list[int]:
    """Store all that is not here, in slices; all of it or nothing."""
    writer = ConversationWriter(hidden=True)
    place = 0

    def write(pieces: Sequence[Piece]) -> None:
        nonlocal place
        new = []
        for piece in pieces:
            if place >= len(is_here):
                raise ArchiveUnreadable(detail="the file is changing")
            if not is_here[place]:
                new.append(piece)
            place += isinstance(piece, ArchivedConversation)

        def work(store: Store) -> None:
            with store.transaction():
                for piece in new:
                    writer.write(store, piece)

        if new:
            run(work)

    try:
        read(write)
        run(writer.finish)
    except BaseException:
        with suppress(R1Error):  # else the next start does it
            while run(lambda store: store.conversations.purge_hidden()):
                pass
        raise
    return writer.ids

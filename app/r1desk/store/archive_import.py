"""Imports conversations from a file, which comes from outside: piece by piece, never as a whole.

A file is read to its end and checked before anything of it is stored, then read again and stored in
slices, between which the store does other work. Until the last slice its conversations are hidden;
the next start deletes what an interrupted import left.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import ijson
from pydantic import BaseModel, ValidationError

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import tr
from r1desk.store.archive import (
    FORMAT,
    VERSION,
    ArchivedConversation,
    ArchivedMessage,
    ConversationWriter,
    archived_message,
)
from r1desk.store.errors import ArchiveNotRead, ArchiveUnreadable
from r1desk.store.records import ChatMessage
from r1desk.store.store import Store

MAX_BYTES = 512 * 2**20
MAX_MESSAGE_BYTES = 10 * 2**20  # as many files as can be sent with one, and text
MAX_MESSAGE_VALUES = 20_000
MAX_MESSAGES = 250_000  # of one conversation: their numbers are held in memory
MAX_CONVERSATIONS = 250_000
CHUNK_BYTES = 64 * 2**10
SLICE_PIECES, SLICE_CHARACTERS = 500, 2**20  # the store's thread is held for a tenth of a second

_DEPTHS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}

Part = TypeVar("Part", bound=BaseModel)
Piece = ArchivedMessage | ArchivedConversation
RunInStore = Callable[[Callable[[Store], Any]], Any]  # does work and waits for its result


@dataclass(frozen=True, slots=True)
class ImportedConversations:
    """The ids of the new conversations, and how many of the file were here already."""

    ids: tuple[int, ...]
    already_here: int


def import_json(run: RunInStore, file: Path) -> ImportedConversations:
    """Store the conversations of a file as new ones, but for those that are here already.

    For a thread that may wait. Raises ArchiveNotRead and ArchiveUnreadable; then, as after an error
    of the store, nothing is stored.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # reading a device or a pipe may never end
            raise ArchiveUnreadable(detail=tr("another kind of file"))
        with file.open("rb") as opened:
            is_here = _check(run, opened)
        with file.open("rb") as opened:
            ids = _store(run, opened, is_here)
    except OSError as problem:
        raise ArchiveNotRead(path=str(file), detail=problem.strerror or "") from problem
    return ImportedConversations(tuple(ids), sum(is_here))


def _check(run: RunInStore, file: BinaryIO) -> list[bool]:
    """Read all; for each conversation, whether the same messages from the same time are here."""
    here: dict[float, list[int]] = {}
    for info in run(lambda store: store.conversations.infos()):
        here.setdefault(info.created_at, []).append(info.id)
    is_here = []
    numbers: set[int | None] = {None}
    digest = hashlib.sha256()
    for piece in read_pieces(file):
        if isinstance(piece, ArchivedMessage):
            if piece.number in numbers or piece.parent not in numbers:
                raise ArchiveUnreadable(detail=f"message {piece.number} has no place")
            if len(numbers) > MAX_MESSAGES:
                raise ArchiveUnreadable(detail=f"more than {MAX_MESSAGES:,} messages")
            numbers.add(piece.number)
            digest.update(_content_of(piece))
        else:
            if piece.shown not in numbers:
                raise ArchiveUnreadable(detail="the message shown is missing")
            alike = (_digest_of(run, key) for key in here.get(piece.created_at, ()))
            is_here.append(digest.digest() in alike)
            numbers, digest = {None}, hashlib.sha256()
    return is_here


def _content_of(message: ArchivedMessage) -> bytes:
    parts = (message.role, message.created_at, message.thinking, message.content)
    return repr(parts).encode()


def _digest_of(run: RunInStore, conversation_id: int) -> bytes:
    digest, last = hashlib.sha256(), 0

    def some(store: Store) -> list[ChatMessage]:
        return store.messages.all_of(conversation_id, last, SLICE_PIECES)

    while nodes := run(some):
        for node in nodes:
            digest.update(_content_of(archived_message(node)))
        last = nodes[-1].id
    return digest.digest()


def _store(run: RunInStore, file: BinaryIO, is_here: list[bool]) -> list[int]:
    """Store all that is not here, in slices; all of it or nothing."""
    writer = ConversationWriter(hidden=True)

    def write(pieces: list[Piece], store: Store) -> None:
        with store.transaction():
            for piece in pieces:
                writer.write(store, piece)

    try:
        for pieces in _slices(file, is_here):
            run(partial(write, pieces))
        run(lambda store: store.conversations.show_hidden(writer.ids))
    except BaseException:
        with suppress(R1Error):  # else the next start does it
            run(lambda store: store.conversations.purge_hidden())
        raise
    return writer.ids


def _slices(file: BinaryIO, is_here: list[bool]) -> Iterator[list[Piece]]:
    place, characters = 0, 0
    pieces: list[Piece] = []
    for piece in read_pieces(file):
        if place >= len(is_here):
            raise ArchiveUnreadable(detail="the file is changing")
        if not is_here[place]:
            pieces.append(piece)
        if isinstance(piece, ArchivedConversation):
            place += 1
        else:
            characters += len(piece.content) + len(piece.thinking)
            characters += sum(len(each.content) for each in piece.attachments)
        if len(pieces) >= SLICE_PIECES or characters > SLICE_CHARACTERS:
            yield pieces
            pieces, characters = [], 0
    yield pieces


# ---- reading --------------------------------------------------------------------------------


def read_pieces(file: BinaryIO) -> Iterator[Piece]:
    """The messages of each conversation in their order, then the conversation without them.

    Raises ArchiveUnreadable where the file is none of ours.
    """
    try:
        yield from _Reader(file).document()
    except (ijson.JSONError, UnicodeDecodeError) as problem:
        raise ArchiveUnreadable(detail=tr("another kind of file")) from problem


class _Reader:
    """Reads a document from its events. No part of it may be large."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read_bytes = self._part_began = 0
        self._events = ijson.basic_parse(self, use_float=True, buf_size=CHUNK_BYTES)

    def read(self, size: int) -> bytes:
        """Give the parser the next bytes of the file."""
        if self._read_bytes > MAX_BYTES:
            too_long = tr("it is longer than {mib} MiB", mib=MAX_BYTES // 2**20)
            raise ArchiveUnreadable(detail=too_long)
        if self._read_bytes - self._part_began > MAX_MESSAGE_BYTES:
            limit = f"more than {MAX_MESSAGE_BYTES // 2**20} MiB in one message"
            raise ArchiveUnreadable(detail=limit)
        data = self._file.read(size)
        self._read_bytes += len(data)
        return data

    def document(self) -> Iterator[Piece]:
        another_kind = ArchiveUnreadable(detail=tr("another kind of file"))
        fields: dict[str, Any] = {"format": FORMAT, "version": VERSION, "conversations": None}
        if self._next() != ("start_map", None):
            raise another_kind
        for key in self._keys():
            if key == "conversations" and fields[key] is None:
                _check_version(fields["version"])
                if self._next() != ("start_array", None):
                    raise another_kind
                fields[key] = True
                yield from self._conversations()
            else:
                value = self._value(*self._next())
                if key in fields:
                    fields[key] = value
        if fields["format"] != FORMAT or fields["conversations"] is None:
            raise another_kind
        _check_version(fields["version"])
        if next(self._events, None) is not None:
            raise another_kind

    def _conversations(self) -> Iterator[Piece]:
        place = 0
        while (event := self._next()) != ("end_array", None):
            if event != ("start_map", None):
                raise ArchiveUnreadable(detail=f"conversations/{place}: not an object")
            fields: dict[str, Any] = {}
            for key in self._keys():
                event = self._next()
                if key == "messages" and key not in fields:
                    if event != ("start_array", None):
                        raise ArchiveUnreadable(detail=f"conversations/{place}/messages: no list")
                    fields[key] = ()
                    while (event := self._next()) != ("end_array", None):
                        yield _validated(
                            ArchivedMessage, self._value(*event), f"conversations/{place}/messages"
                        )
                else:
                    value = self._value(*event)
                    if key in ArchivedConversation.model_fields:
                        fields[key] = value
            yield _validated(ArchivedConversation, fields, f"conversations/{place}")
            place += 1
            if place > MAX_CONVERSATIONS:
                raise ArchiveUnreadable(detail=f"more than {MAX_CONVERSATIONS:,} conversations")

    def _next(self) -> tuple[str, Any]:
        """The next event, of a new part."""
        self._part_began = self._read_bytes
        return next(self._events)

    def _keys(self) -> Iterator[str]:
        """The keys of the object that has begun. The caller takes the events of each value."""
        while (event := self._next())[0] == "map_key":
            yield event[1]

    def _value(self, event: str, value: Any) -> Any:
        """The value that begins with this event."""
        builder, depth = ijson.ObjectBuilder(), 0
        for _ in range(MAX_MESSAGE_VALUES):
            builder.event(event, value)
            depth += _DEPTHS.get(event, 0)
            if not depth:
                return builder.value
            event, value = next(self._events)
        raise ArchiveUnreadable(detail=f"more than {MAX_MESSAGE_VALUES:,} values in one message")


def _check_version(version: object) -> None:
    if version != VERSION:
        raise ArchiveUnreadable(detail=tr("the form of another version of this application"))


def _validated(kind: type[Part], value: object, place: str) -> Part:
    try:
        return kind.model_validate(value)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = "/".join((place, *map(str, first["loc"])))
        raise ArchiveUnreadable(detail=f"{where}: {first['msg']}") from problem

"""Rows of a damaged database: read what can be read, insert it into a fresh one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from deepseek_r1.core import log
from deepseek_r1.core.messages import Role
from r1desk.store.database import Database, Value
from r1desk.store.records import MessageState
from r1desk.store.stored_text import clean, one_line, title_from

# Between the part read from the front and the part read from the back, ids are tried one by one.
_GAP_IDS = 1_000_000
_DAMAGE = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.SQLError,
    apsw.IOError,
    apsw.FormatError,
    UnicodeDecodeError,
)

_TABLES = ("folders", "conversations", "messages", "remembered", "attachments", "prompts")
_STATES = set(MessageState) - {MessageState.QUEUED}
Record = dict[str, Any]


@dataclass(slots=True)
class RecoveredRows:
    """Rows by column name, in the order of their ids, and how many were there and unreadable."""

    tables: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in _TABLES})
    unreadable: int = 0


def read_rows(path: Path) -> RecoveredRows:
    """Everything that can be read from the database `path`. May fold its WAL into it."""
    found = RecoveredRows()
    with closing(apsw.Connection(str(path))) as db:
        try:
            db.execute("PRAGMA trusted_schema = OFF; PRAGMA locking_mode = EXCLUSIVE")
            db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except _DAMAGE as problem:
            log.store.error("nothing can be read from the damaged database: %s", problem)
            return found
        for table in _TABLES:
            found.tables[table] += _table(db, table, found)
    return found


def repair_schema(path: Path, like: Database) -> None:
    """Give a database whose table of contents is damaged the one of a fresh database.

    Our tables are made by the same steps in the same order, so they begin at the same pages.
    """
    sizes = like.execute("PRAGMA page_size; PRAGMA wal_checkpoint(TRUNCATE)")
    page_bytes = int(sizes[0][0])
    numbers = like.execute("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")
    with path.open("rb+") as damaged, like.path.open("rb") as fresh:
        length = damaged.seek(0, os.SEEK_END)
        for (number,) in numbers:
            fresh.seek((number - 1) * page_bytes)
            damaged.seek((number - 1) * page_bytes)
            damaged.write(fresh.read(page_bytes))
        # Where SQLite finds the number of pages, and the list of free ones: none.
        damaged.seek(28)
        damaged.write((length // page_bytes).to_bytes(4, "big") + bytes(8))


def _table(db: apsw.Connection, table: str, found: RecoveredRows) -> Iterator[Record]:
    """The rows of a table by rowid: from the front, from the back, and singly between."""
    select = f"SELECT {_columns(db, table)} FROM {table} NOT INDEXED"  # noqa: S608
    rows: dict[int, Record] = {}
    if _read(db, f"{select} ORDER BY rowid", rows):
        yield from rows.values()
        return
    first_gap = max(rows, default=0) + 1
    back: dict[int, Record] = {}
    _read(db, f"{select} ORDER BY rowid DESC", back)
    end_gap = min((key for key in back if key >= first_gap), default=_last_id(db, table) + 1)
    rows.update(back)
    for key in range(first_gap, min(end_gap, first_gap + _GAP_IDS)):
        if not _read(db, f"{select} WHERE rowid = {key}", rows):
            found.unreadable += 1
    yield from (rows[key] for key in sorted(rows))


def _columns(db: apsw.Connection, table: str) -> str:
    """The columns to select: texts as bytes, because they may be no text any more."""
    names = ["rowid"]
    with suppress(*_DAMAGE):
        for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})"):
            names.append(f"CAST({name} AS BLOB) AS {name}" if kind == "TEXT" else str(name))
    return ", ".join(names)


def _read(db: apsw.Connection, sql: str, into: dict[int, Record]) -> bool:
    """Collect rows until the end (True) or the first damage (False)."""
    with closing(db.cursor()) as cursor, suppress(*_DAMAGE):
        cursor.execute(sql)
        for row in cursor:
            names = [name for name, _ in cursor.get_description()]
            into.setdefault(int(row[0]), dict(zip(names[1:], row[1:], strict=True)))
        return True
    return False


def _last_id(db: apsw.Connection, table: str) -> int:
    """The highest id ever given in a table, as far as anyone still knows."""
    with suppress(*_DAMAGE):
        for (last,) in db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)):
            return int(last)
    return 0


def restore_rows(database: Database, found: RecoveredRows) -> int:
    """Insert all of `found`; returns how many rows could not be made to fit.

    A message whose conversation is gone gets a new one; one whose parent is gone hangs below the
    message before it. A field that makes no sense gets its default; texts are never dropped.
    """
    lost = 0
    with database.transaction():
        folders = {
            record["id"]
            for record in found.tables["folders"]
            if _insert(database, "folders", _folder(record))
        }
        lost += len(found.tables["folders"]) - len(folders)
        conversations: set[int] = set()
        for record in found.tables["conversations"]:
            if record.get("folder_id") not in folders:
                record["folder_id"] = None
            if _insert(database, "conversations", _conversation(record)):
                conversations.add(record["id"])
            else:
                lost += 1
        last_of: dict[int, int] = {}  # conversation -> its latest message so far
        conversation_of: dict[int, int] = {}  # message -> its conversation
        for record in found.tables["messages"]:
            message = _message(record)
            conversation_id = message["conversation_id"]
            if conversation_id not in conversations:
                _insert(database, "conversations", _made_for(message))
                conversations.add(conversation_id)
            if (
                message["parent_id"] is not None
                and conversation_of.get(message["parent_id"]) != conversation_id
            ):
                message["parent_id"] = last_of.get(conversation_id)
            if _insert(database, "messages", message):
                conversation_of[message["id"]] = last_of[conversation_id] = message["id"]
            else:
                lost += 1
        _show_branches(database, found, conversation_of)
        for record in found.tables["remembered"]:
            values = {key: _text(record.get(key)) for key in ("key", "value_json")}
            lost += not _insert(database, "remembered", values)
        for record in found.tables["attachments"]:
            attachment = _attachment(record, conversations, conversation_of, folders)
            lost += not attachment or not _insert(database, "attachments", attachment)
        for record in found.tables["prompts"]:
            prompt = {"id": record["id"], **_texts(record, "name", "content")}
            lost += not _insert(database, "prompts", prompt)
    return lost


def _insert(database: Database, table: str, values: Record) -> bool:
    """True if the row fits the schema. The columns' names are our own, the values are not."""
    places = ", ".join(f":{name}" for name in values)
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"  # noqa: S608
    try:
        database.execute(sql, values)
    except (apsw.ConstraintError, apsw.MismatchError):
        return False
    return True


def _show_branches(
    database: Database, found: RecoveredRows, conversation_of: dict[int, int]
) -> None:
    """Show the branches that were shown before, as far as their messages are still there."""
    for record in found.tables["messages"]:
        child = record.get("shown_child_id")
        if child in conversation_of:
            database.execute(
                "UPDATE messages SET shown_child_id = ?1 WHERE id = ?2 AND ?1 > ?2",
                (child, record["id"]),
            )
    for record in found.tables["conversations"]:
        head = record.get("head_message_id")
        if conversation_of.get(head) == record["id"]:
            database.execute(
                "UPDATE conversations SET head_message_id = ? WHERE id = ?", (head, record["id"])
            )
    database.execute(
        "UPDATE conversations SET head_message_id = (SELECT max(id) FROM messages "
        "WHERE conversation_id = conversations.id) WHERE head_message_id IS NULL"
    )


def _conversation(record: Record) -> Record:
    return {
        "id": record["id"],
        **_texts(record, "title", "preview", "draft", "model_path", "system_prompt"),
        "title_set_by_user": int(record.get("title_set_by_user") == 1),
        "created_at": _number(record.get("created_at"), time.time()),
        "updated_at": _number(record.get("updated_at"), time.time()),
        "trashed_at": _number(record.get("trashed_at"), None),
        "sampling_json": _json(record.get("sampling_json")),
        "folder_id": record.get("folder_id"),
        "unread": int(record.get("unread") == 1),
    }


def _folder(record: Record) -> Record:
    return {
        "id": record["id"],
        **_texts(record, "name", "model_path", "system_prompt"),
        "sampling_json": _json(record.get("sampling_json")),
    }


def _message(record: Record) -> Record:
    role, state = _text(record.get("role")), _text(record.get("state"))
    parent, conversation_id = record.get("parent_id"), record.get("conversation_id")
    return {
        "id": record["id"],
        "conversation_id": conversation_id
        if isinstance(conversation_id, int) and conversation_id > 0
        else 2**40,
        "parent_id": parent if isinstance(parent, int) and parent < record["id"] else None,
        "role": role if role in set(Role) else Role.USER.value,
        "state": state if state in _STATES else MessageState.STOPPED.value,
        "created_at": _number(record.get("created_at"), time.time()),
        "thinking_s": _number(record.get("thinking_s"), 0.0),
        "stats_json": _json(record.get("stats_json")),
        "error_json": _json(record.get("error_json")),
        "sources_json": _json(record.get("sources_json")),
        **_texts(record, "content", "thinking", "model_name"),
        "edited": int(record.get("edited") == 1),
        "memory_start": int(record.get("memory_start") == 1),
    }


def _attachment(
    record: Record,
    conversations: AbstractSet[int],
    conversation_of: Mapping[int, int],
    folders: AbstractSet[int],
) -> Record:
    """An attachment whose message or conversation is gone becomes one of the new chat's draft.

    Empty where the record is none: a repaired schema may point at pages of another table.
    """
    message_id, conversation_id = record.get("message_id"), record.get("conversation_id")
    tokens = record.get("tokens")
    if not isinstance(tokens, int) or not isinstance(record.get("content"), bytes):
        return {}
    return {
        "id": record["id"],
        "conversation_id": conversation_id if conversation_id in conversations else None,
        "message_id": message_id if message_id in conversation_of else None,
        "folder_id": record.get("folder_id") if record.get("folder_id") in folders else None,
        "tokens": max(0, tokens),
        "pages": record["pages"] if isinstance(record.get("pages"), int) else 0,
        **_texts(record, "name", "content", "sha256"),
    }


def _made_for(message: Record) -> Record:
    """A conversation for a message that has none."""
    return _conversation(
        {
            "id": message["conversation_id"],
            "title": title_from(message["content"]).encode(),
            "preview": one_line(message["content"]).encode(),
            "created_at": message["created_at"],
            "updated_at": message["created_at"],
        }
    )


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return clean(value.decode("utf-8", "replace"))
    return None if value is None else clean(str(value))


def _texts(record: Record, *names: str) -> Record:
    return {name: _text(record.get(name)) or "" for name in names}


def _json(value: Any) -> str | None:
    """The stored JSON if it still is JSON."""
    text = _text(value)
    if text is None:
        return None
    try:
        json.loads(text)
    except ValueError:
        return None
    return text


def _number(value: Any, default: Value) -> Value:
    usable = isinstance(value, int | float) and abs(value) < 1e11
    return float(value) if usable else default

"""Rows of a damaged database: read what can be read, insert it into a fresh one."""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from deepseek_r1.core import log
from deepseek_r1.core.messages import Role
from r1desk.store.database import Database
from r1desk.store.records import LATEST_S, MessageState
from r1desk.store.stored_text import clean, one_line, text_of, title_from

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

# The tables, and what a row gets that does not fit as it was read.
TABLES: dict[str, dict[str, Any]] = {
    "folders": {},
    "conversations": {},
    "messages": {"role": Role.USER.value, "state": MessageState.STOPPED.value},
    "remembered": {},
    "attachments": {},
    "prompts": {},
}
_TIMES = {"conversations": ("created_at", "updated_at"), "messages": ("created_at",)}
Record = dict[str, Any]


@dataclass(slots=True)
class RecoveredRows:
    """Rows by column name, in the order of their ids, and how many were there and unreadable."""

    tables: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in TABLES})
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
        for table in TABLES:
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
    message before it. An attachment whose message or conversation is gone becomes one of the new
    chat's draft. Of a row that does not fit the texts and times are kept.
    """
    tables, lost = found.tables, 0

    def insert(table: str, record: Record, **owners: int | None) -> bool:
        nonlocal lost
        known = dict.fromkeys(_TIMES.get(table, ()), time.time()) | _usable(record) | owners
        kept = {key: each for key, each in known.items() if key == "id" or type(each) is not int}
        fits = _insert(database, table, known) or _insert(
            database, table, kept | TABLES[table] | owners
        )
        lost += not fits
        return fits

    with database.transaction():
        folders = {record["id"] for record in tables["folders"] if insert("folders", record)}
        conversations: set[int] = set()
        for record in tables["conversations"]:
            folder = _known(record, "folder_id", folders)
            if insert("conversations", record, folder_id=folder):
                conversations.add(record["id"])
        last_of: dict[int, int] = {}  # conversation -> its latest message so far
        conversation_of: dict[int, int] = {}  # message -> its conversation
        for record in tables["messages"]:
            key, parent = record["id"], record.get("parent_id")
            conversation = record.get("conversation_id")
            if not isinstance(conversation, int) or conversation <= 0:
                conversation = 2**40
            if conversation not in conversations:
                text = str(_usable(record).get("content", ""))
                made = {"id": conversation, "title": title_from(text), "preview": one_line(text)}
                insert("conversations", made)
                conversations.add(conversation)
            if parent is not None and conversation_of.get(parent) != conversation:
                parent = last_of.get(conversation)
            if insert("messages", record, conversation_id=conversation, parent_id=parent):
                conversation_of[key], last_of[conversation] = conversation, key
        database.execute(
            "UPDATE conversations SET head_message_id = (SELECT max(id) FROM messages "
            "WHERE conversation_id = conversations.id) WHERE NOT EXISTS (SELECT 1 FROM messages "
            "WHERE id = head_message_id AND conversation_id = conversations.id)"
        )
        for record in tables["attachments"]:
            content, tokens = record.get("content"), record.get("tokens")
            if not (isinstance(content, bytes) and isinstance(tokens, int)):
                lost += 1  # a repaired schema may point at pages of another table
                continue
            insert(
                "attachments",
                record,
                conversation_id=_known(record, "conversation_id", conversations),
                message_id=_known(record, "message_id", conversation_of),
                folder_id=_known(record, "folder_id", folders),
            )
        for table in ("remembered", "prompts"):
            for record in tables[table]:
                insert(table, record)
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


def _known(record: Record, owner: str, there: Collection[int]) -> int | None:
    return record[owner] if record.get(owner) in there else None


def _usable(record: Record) -> Record:
    """What there is in a row: texts, ids and flags, and numbers that can be a time."""
    texts = {
        key: clean(text_of(each)) if isinstance(each, bytes) else each
        for key, each in record.items()
    }
    return {
        key: each
        for key, each in texts.items()
        if each is not None and not (isinstance(each, float) and not abs(each) < LATEST_S)
    }

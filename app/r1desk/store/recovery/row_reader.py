"""Reading what can be read from a damaged database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from deepseek_r1.core import log
from r1desk.store.database import Database

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

Record = dict[str, Any]


@dataclass(slots=True)
class RecoveredRows:
    """Rows by column name, in the order of their ids, and how many were there and unreadable."""

    conversations: list[Record] = field(default_factory=list)
    messages: list[Record] = field(default_factory=list)
    key_values: list[Record] = field(default_factory=list)
    attachments: list[Record] = field(default_factory=list)
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
        found.conversations = list(_table(db, "conversations", found))
        found.messages = list(_table(db, "messages", found))
        found.key_values = list(_table(db, "remembered", found))
        found.attachments = list(_table(db, "attachments", found))
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

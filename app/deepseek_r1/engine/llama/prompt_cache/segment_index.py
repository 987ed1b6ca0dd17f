"""The SQLite index of the segments on disk: a copy of the files' headers, rebuilt where it is lost.

The index is not trusted: ids are computed again from the tokens, and every file is checked against
its row before it is used.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from deepseek_r1.engine.llama.prompt_cache.segment import (
    Segment,
    segment_id,
    token_bytes,
    tokens_from,
)

_VERSION = 2
_BUSY_S = 2.0
_DAYS_KEPT = 30
_SCHEMA = """
CREATE TABLE segment (
    id BLOB PRIMARY KEY, root BLOB NOT NULL, parent BLOB NOT NULL, first INTEGER NOT NULL,
    tokens BLOB NOT NULL, state_bytes INTEGER NOT NULL, piece_tokens INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL, cost REAL NOT NULL, hits INTEGER NOT NULL, priority REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX segment_parent ON segment(parent);
CREATE TABLE owner (
    segment BLOB NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (segment, owner)
) WITHOUT ROWID;
CREATE TABLE written (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE age (one INTEGER PRIMARY KEY CHECK (one = 1), priority REAL NOT NULL);
INSERT INTO age VALUES (1, 0);
"""
_COLUMNS = "root, parent, first, tokens, state_bytes, piece_tokens, id"
_LEAF = "NOT EXISTS (SELECT 1 FROM segment AS child WHERE child.parent = segment.id)"


class SegmentIndex:
    """One connection. Raises sqlite3.DatabaseError for a damaged file. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the index at `path`."""
        self._db = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.execute("PRAGMA synchronous = OFF")  # what is lost is made from the files
            self._db.execute("PRAGMA cache_size = -256")
            if self._value("PRAGMA quick_check(1)") != "ok":
                raise sqlite3.DatabaseError("the index does not pass SQLite's check")
            version = self._value("PRAGMA user_version")
            if version == 0:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"version {version} of the index is not known")
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Apply all changes of the block, or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # ---- segments ---------------------------------------------------------------------------

    def add(self, segment: Segment, cost: float) -> None:
        """Add or replace a segment. `cost` is the cost of computing it again."""
        self._db.execute(
            f"INSERT OR REPLACE INTO segment ({_COLUMNS}, file_bytes, cost, hits, priority)"  # noqa: S608 - our own text
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (
                segment.root,
                segment.parent,
                segment.first,
                token_bytes(segment.tokens),
                segment.state_bytes,
                segment.piece_tokens,
                segment.id,
                segment.file_bytes,
                cost,
                self._age() + cost / segment.file_bytes,
            ),
        )

    def remove(self, segment: Segment) -> None:
        """Remove a segment and its owners."""
        self._db.execute("DELETE FROM segment WHERE id = ?", (segment.id,))
        self._db.execute("DELETE FROM owner WHERE segment = ?", (segment.id,))

    def used(self, segment: Segment) -> None:
        """Count a use, which makes a segment more valuable (greedy dual size frequency)."""
        self._db.execute(
            "UPDATE segment SET hits = hits + 1, priority = ? + (hits + 2) * cost / file_bytes"
            " WHERE id = ?",
            (self._age(), segment.id),
        )

    def get(self, segment: bytes) -> Segment | None:
        """Return the segment with this id."""
        return next(self._segments("WHERE id = ?", (segment,)), None)

    def children(self, parent: bytes) -> Iterator[Segment]:
        """Yield the segments after `parent`, which is an id or a root."""
        return self._segments("WHERE parent = ?", (parent,))

    def all(self) -> Iterator[Segment]:
        """Yield every segment."""
        return self._segments("")

    def orphans(self) -> Iterator[Segment]:
        """Yield the segments whose parent is missing, which no prompt can reach."""
        return self._segments(
            "WHERE parent != root AND parent NOT IN (SELECT id FROM segment AS before)"
        )

    def unowned(self) -> Iterator[Segment]:
        """Yield the segments without an owner."""
        return self._segments("WHERE id NOT IN (SELECT segment FROM owner)")

    def evict(self, keep: Iterable[bytes]) -> Segment | None:
        """Remove and return the least valuable leaf that is not in `keep`; None without one."""
        kept = set(keep)
        for segment in self._segments(f"WHERE {_LEAF} ORDER BY priority"):
            if segment.id in kept:
                continue
            priority = self._value("SELECT priority FROM segment WHERE id = ?", segment.id)
            self._db.execute("UPDATE age SET priority = max(priority, ?)", (priority,))
            self.remove(segment)
            return segment
        return None

    def _segments(self, condition: str, values: tuple[object, ...] = ()) -> Iterator[Segment]:
        """Rows as segments. Raises sqlite3.DatabaseError for a row whose id is another one's."""
        with closing(self._db.execute(f"SELECT {_COLUMNS} FROM segment {condition}", values)) as it:  # noqa: S608 - our own text
            rows = it.fetchall()
        for root, parent, first, tokens, state_bytes, piece, row_id in rows:
            segment = Segment(root, parent, first, tokens_from(tokens), state_bytes, piece, row_id)
            if row_id != segment_id(parent, segment.tokens):
                raise sqlite3.DatabaseError("a row does not fit its id")
            yield segment

    # ---- owners -----------------------------------------------------------------------------

    def add_owner(self, segment: Segment, owner: str) -> None:
        """Note that `owner` (a conversation) has this segment in its prompt."""
        self._db.execute("INSERT OR IGNORE INTO owner VALUES (?, ?)", (segment.id, owner))

    def owners(self, segment: Segment) -> set[str]:
        """All whose prompt has this segment."""
        rows = self._db.execute("SELECT owner FROM owner WHERE segment = ?", (segment.id,))
        return {owner for (owner,) in rows}

    def retain_owners(self, owners: Iterable[str]) -> None:
        """Remove all other owners."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS retained (owner TEXT PRIMARY KEY)")
        self._db.execute("DELETE FROM retained")
        self._db.executemany("INSERT OR IGNORE INTO retained VALUES (?)", ((o,) for o in owners))
        self._db.execute("DELETE FROM owner WHERE owner NOT IN (SELECT owner FROM retained)")

    # ---- sums -------------------------------------------------------------------------------

    def total_bytes(self) -> int:
        """Bytes of all files."""
        return int(self._value("SELECT coalesce(sum(file_bytes), 0) FROM segment"))

    def count(self) -> int:
        """Number of segments."""
        return int(self._value("SELECT count(*) FROM segment"))

    def add_written(self, nbytes: int) -> None:
        """Count bytes written today."""
        day = _today()
        self._db.execute("DELETE FROM written WHERE day < ?", (day - _DAYS_KEPT,))
        self._db.execute(
            "INSERT INTO written VALUES (?, ?)"
            " ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes",
            (day, nbytes),
        )

    def written_today(self) -> int:
        """Bytes written since midnight, UTC."""
        query = "SELECT coalesce(sum(bytes), 0) FROM written WHERE day = ?"
        return int(self._value(query, _today()))

    def _age(self) -> float:
        return float(self._value("SELECT priority FROM age"))

    def _value(self, query: str, *values: object) -> int | float | str:
        value: int | float | str = self._db.execute(query, values).fetchone()[0]
        return value


def _today() -> int:
    return int(time.time()) // 86_400

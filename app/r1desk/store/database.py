"""One connection to the database, its transactions, and the words for what goes wrong.

WAL with `synchronous=FULL`: what a transaction committed survives a power cut. The lock is held
exclusively for as long as the connection lives, so there never is a second writer, and the index
of the WAL needs no shared-memory file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from r1desk.store.errors import StoreFailed, StoreReadOnly, in_users_words, user_error

Value = str | bytes | int | float | None
Bindings = Sequence[Value] | Mapping[str, Value]
Row = tuple[Any, ...]

# Before it, WAL could lose or damage transactions (the WAL-reset bug, fixed in 3.51.3).
LEAST_SQLITE = (3, 51, 3)
APPLICATION_ID = 0x52314453  # "R1DS"
BUSY_WAIT_MS = 2000
_WRITABLE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_IMMUTABLE = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


def check_sqlite() -> None:
    """Raise RuntimeError where a library older than `LEAST_SQLITE` was bundled."""
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) < LEAST_SQLITE:
        raise RuntimeError(f"SQLite {found} can damage a database in WAL mode")


class Database:
    """A connection owned by one thread. Every method may raise a `StoreError`."""

    def __init__(self, path: Path, *, view_only: bool = False, vfs: str | None = None) -> None:
        """Open `path`, made if missing and not `view_only`.

        A view-only database must have no WAL: it is read as if nobody could ever change it.
        """
        check_sqlite()
        self.path = path
        self.repair_index: Callable[[apsw.Connection], None] | None = None
        self._depth = 0
        with in_users_words(path):
            if view_only:
                address = f"{path.absolute().as_uri()}?immutable=1"
                self.connection = apsw.Connection(address, flags=_IMMUTABLE, vfs=vfs)
            else:
                _make_private(path)
                self.connection = apsw.Connection(str(path), flags=_WRITABLE, vfs=vfs)
        try:
            with in_users_words(path):
                self._configure(view_only)
        except BaseException:
            self.connection.close(True)
            raise

    def _configure(self, view_only: bool) -> None:
        db = self.connection
        db.set_busy_timeout(BUSY_WAIT_MS)
        db.execute(
            "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON"
        )
        if view_only:
            db.execute("PRAGMA query_only = ON")
            return
        if db.readonly("main"):
            raise StoreReadOnly(path=str(self.path))
        mode = db.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL").fetchall()
        if mode[-1] != ("wal",):
            raise StoreFailed(path=str(self.path), detail=f"journal mode {mode[-1][0]}")
        db.execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        # Proves now, not at the first message, that the file can be written; takes the lock.
        db.execute(f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; COMMIT")

    def execute(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Run one statement and return its rows.

        A damaged search index is made anew and the statement repeated once.
        """
        with in_users_words(self.path):
            try:
                return self.connection.execute(sql, bindings).fetchall()
            except apsw.CorruptError as problem:
                if self.repair_index is None or problem.extendedresult != _INDEX_CORRUPT:
                    raise
                with self.transaction():
                    self.repair_index(self.connection)
                return self.connection.execute(sql, bindings).fetchall()

    def first(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """The first row, or None."""
        return next(iter(self.execute(sql, bindings)), None)

    def rows(self, sql: str, bindings: Bindings = ()) -> Iterator[Row]:
        """The rows one by one, for a reader that may stop early."""
        with in_users_words(self.path), closing(self.connection.cursor()) as cursor:
            yield from cursor.execute(sql, bindings)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends. May be nested; the outermost one decides."""
        self._depth += 1
        name = f"level_{self._depth}"
        outermost = self._depth == 1
        begin = "BEGIN IMMEDIATE" if outermost else f"SAVEPOINT {name}"
        commit = "COMMIT" if outermost else f"RELEASE {name}"
        undo = "ROLLBACK" if outermost else f"ROLLBACK TO {name}; RELEASE {name}"
        try:
            with in_users_words(self.path):
                self.connection.execute(begin)
                try:
                    yield
                    self.connection.execute(commit)
                except BaseException:
                    self._undo(undo)
                    raise
        finally:
            self._depth -= 1

    def _undo(self, undo: str) -> None:
        """Roll back where SQLite has not done so itself, as it does when the disk fails."""
        if not self.connection.in_transaction:
            return
        try:
            self.connection.execute(undo)
        except apsw.Error as problem:
            # The first failure is the one to report; a transaction left open would be ours.
            if self.connection.in_transaction or user_error(problem, self.path) is None:
                raise

    def backup_to(self, target: Path) -> None:
        """Write a consistent copy to the new file `target`, private to the user."""
        with in_users_words(target):
            _make_private(target)
            with closing(apsw.Connection(str(target))) as copy:
                with copy.backup("main", self.connection, "main") as backup:
                    while not backup.done:
                        backup.step(-1)
                copy.execute("PRAGMA journal_mode = DELETE")
            sync_file(target)

    def close(self) -> None:
        """Fold the WAL into the database and let go of it."""
        with in_users_words(self.path):
            self.connection.close()


_INDEX_CORRUPT = apsw.SQLITE_CORRUPT_VTAB


def _make_private(path: Path) -> None:
    """Make the file if needed, readable by its owner only. SQLite gives the WAL the same mode."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if hasattr(os, "fchmod") and os.fstat(handle).st_mode & 0o077:
            os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Bring a file, and its name in its folder, onto the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

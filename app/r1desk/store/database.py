"""One connection to the database, its transactions, and the words for what goes wrong.

WAL with `synchronous=FULL`: what a transaction committed survives a power cut. The lock is held
exclusively for as long as the connection lives, so there never is a second writer, and the index
of the WAL needs no shared-memory file.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import apsw

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import sync_folder
from r1desk.store.errors import (
    StoreDamaged,
    StoreFailed,
    StoreReadOnly,
    translated_errors,
    user_error,
)

Value = str | bytes | int | float | None
Bindings = Sequence[Value] | Mapping[str, Value]
Row = tuple[Any, ...]
Result = TypeVar("Result")

BUSY_WAIT_MS = 2000
_WRITABLE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_IMMUTABLE = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


class Database:
    """A connection owned by one thread. Every method may raise a `StoreError`."""

    def __init__(self, path: Path, *, view_only: bool = False) -> None:
        """Open `path`, made if missing and not `view_only`.

        A view-only database must have no WAL: it is read as if nobody could ever change it.
        """
        self.path = path
        self._in_transaction = False  # inside `transaction`
        with translated_errors(path):
            if view_only:
                address = f"{path.absolute().as_uri()}?immutable=1"
                self.connection = apsw.Connection(address, flags=_IMMUTABLE)
            else:
                _make_private(path)
                self.connection = apsw.Connection(str(path), flags=_WRITABLE)
        try:
            with translated_errors(path):
                self._configure(view_only)
        except BaseException:
            self.abandon()
            raise

    def _configure(self, view_only: bool) -> None:
        db = self.connection
        db.set_busy_timeout(BUSY_WAIT_MS)
        db.execute("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cell_size_check = ON")
        if view_only:
            self.forbid_writing()
            return
        if db.readonly("main"):
            raise StoreReadOnly(path=str(self.path))
        mode = db.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL").fetchall()
        if mode[-1] != ("wal",):
            raise StoreFailed(path=str(self.path), detail=f"journal mode {mode[-1][0]}")
        db.execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        db.execute("BEGIN IMMEDIATE; COMMIT")  # takes the lock now, not at the first message

    def execute(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        return list(self.rows(sql, bindings))

    def first(self, sql: str, bindings: Bindings = ()) -> Row | None:
        return next(iter(self.execute(sql, bindings)), None)

    def rows(self, sql: str, bindings: Bindings = ()) -> Iterator[Row]:
        """The rows one by one, for a reader that may stop early."""
        with self._own_errors(), closing(self.connection.cursor()) as cursor:
            yield from cursor.execute(sql, bindings)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it ends. One inside of another is a part of it."""
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            with self._own_errors():
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")  # it failed when the disk did
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self.connection.execute("COMMIT")
                except BaseException:
                    self._roll_back()
                    raise
        finally:
            self._in_transaction = False

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raise SQLite's errors as ours. After damage the WAL stays: the next start checks all."""
        try:
            with translated_errors(self.path):
                yield
        except StoreDamaged:
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raise

    def _roll_back(self) -> None:
        """Roll back where SQLite has not done so itself, as it does when the disk fails."""
        if not self.connection.in_transaction:
            return
        try:
            self.connection.execute("ROLLBACK")
        except apsw.Error as problem:
            # The failure that led here is the one to report; a bug of ours is not passed over.
            if user_error(problem, self.path) is None:
                raise

    def backup_to(self, target: Path) -> None:
        """Write a consistent copy to the new file `target`, private to the user."""
        with translated_errors(target):
            _make_private(target)
            with closing(apsw.Connection(str(target))) as copy:
                with copy.backup("main", self.connection, "main") as backup:
                    backup.step()
                copy.execute("PRAGMA journal_mode = DELETE")
            sync_file(target)

    def close(self) -> None:
        """Fold the WAL into the database and let go of it."""
        with translated_errors(self.path):
            self.connection.close()

    def forbid_writing(self) -> None:
        """From now on every change raises StoreReadOnly."""
        self.connection.execute("PRAGMA query_only = ON")

    def abandon(self) -> None:
        """Let go after a failure that is being raised; another one on the way is only logged."""
        try:
            self.connection.close(True)
        except (apsw.Error, OSError) as problem:
            log.store.warning("closing failed too: %s", problem)


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
    sync_folder(path.parent)


def transactional(method: Callable[..., Result]) -> Callable[..., Result]:
    """Make a method of an object with a `_db` one transaction."""

    @wraps(method)
    def as_one(self: Any, /, *args: Any, **keywords: Any) -> Result:
        with self._db.transaction():
            return method(self, *args, **keywords)

    return as_one

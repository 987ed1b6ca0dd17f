"""From a path to a database that can be used: checked, migrated, recovered or view-only.

1. Open it for writing. If the system forbids that or the drive is full, show it view-only where
   the last window closed it.
2. Check it. If it is damaged, keep a dated copy and go on with what could be recovered.
3. Bring its schema up to date, after a backup; refuse one that is newer than we are.
"""

import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import apsw

from deepseek_r1.core import log
from deepseek_r1.core.paths import make_private_dir
from r1desk.store import migrations
from r1desk.store.database import Database, sync_file
from r1desk.store.errors import (
    StoreDamaged,
    StoreFull,
    StoreNewer,
    StoreReadOnly,
    translated_errors,
)
from r1desk.store.records import Opening
from r1desk.store.row_recovery import TABLES, read_rows, repair_schema, restore_rows

# Up to here the search index is checked at every start (0.3 s); above only after an unclean end.
FULL_CHECK_BYTES = 32 * 2**20


def recover_database(path: Path) -> int:
    """Replace a damaged database by a fresh one with all that could be read from it.

    Returns how many rows are known to be lost. The damaged file is replaced at the very end, so a
    power cut on the way loses nothing more.
    """
    fresh = path.with_name(f"{path.stem}.rescued{path.suffix}")
    with translated_errors(path):
        for leftover in (fresh, wal_of(fresh)):
            leftover.unlink(missing_ok=True)
        database = _checked(fresh, thorough=False)
        try:
            found = read_rows(path)
            if not found.tables["messages"]:
                repair_schema(path, database)
                found = read_rows(path)
            lost = found.unreadable + restore_rows(database, found)
            database.close()
        except BaseException:
            database.abandon()
            raise
        sync_file(fresh)
        wal_of(path).unlink(missing_ok=True)
        fresh.replace(path)
        sync_file(path)
    return lost


def _beside(path: Path, kind: str) -> Path:
    """A free name with the date for a copy of `path`."""
    name = f"{path.stem}.{kind}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    target, number = path.with_name(name + path.suffix), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{name}-{number}{path.suffix}")
    return target


def copy_database(path: Path, target: Path) -> None:
    """Copy a database nobody has open, and its WAL, private to the user."""
    with translated_errors(target):
        for source, copy in ((wal_of(path), wal_of(target)), (path, target)):
            if source.exists():
                os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                shutil.copyfile(source, copy)
                sync_file(copy)


def wal_of(path: Path) -> Path:
    """Where SQLite keeps the WAL of a database."""
    return path.with_name(path.name + "-wal")


def open_database(path: Path) -> tuple[Database, Opening]:
    """Open `path` as described above; say what happened. Raises a `StoreError` where it cannot."""
    try:
        return _open_writable(path)
    except (StoreReadOnly, StoreFull) as problem:
        log.store.warning("the store is opened view-only: %s", type(problem).__name__)
        with suppress(StoreDamaged):  # the first problem is said
            if (database := _viewed(path)) is not None:
                return database, Opening(problem)
        raise


def _viewed(path: Path) -> Database | None:
    """A database of this version without a WAL, which would have to be folded into it first."""
    if not path.exists() or (wal_of(path).exists() and wal_of(path).stat().st_size):
        return None
    database = Database(path, view_only=True)
    try:
        check(database, thorough=False)
        if _version(database) == len(migrations.MIGRATIONS):
            return database
    except BaseException:
        database.abandon()
        raise
    database.close()
    return None


def _open_writable(path: Path) -> tuple[Database, Opening]:
    with translated_errors(path):
        make_private_dir(path.parent)
        unclean = wal_of(path).exists()
        thorough = unclean or (path.exists() and path.stat().st_size <= FULL_CHECK_BYTES)
    try:
        return _checked(path, thorough=thorough), Opening()
    except StoreDamaged as damage:
        copy = _beside(path, "damaged")
        copy_database(path, copy)
        log.store.error("the database was damaged; a copy is %s", copy.name)
        lost = recover_database(path)
        log.store.error("recovered; rows lost: %d; damage: %s", lost, damage.facts["detail"])
        return _checked(path, thorough=True), Opening(set_aside=copy, lost_rows=lost)


def _checked(path: Path, *, thorough: bool) -> Database:
    database = Database(path)
    try:
        version = _version(database)
        if version:
            check(database, thorough=thorough)
        _migrate(database, version)
    except BaseException:
        database.abandon()
        raise
    return database


def check(database: Database, *, thorough: bool) -> None:
    """Raise StoreDamaged where the tables, or with `thorough` anything, contradicts itself."""
    present = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    checks = [
        f"integrity_check('{table}')" for table in (*TABLES, "migrations") if table in present
    ]
    for pragma in ["quick_check", *checks] if thorough else checks:
        try:
            rows = list(database.rows(f"PRAGMA {pragma}"))  # nothing repaired before a copy is kept
        except apsw.SQLError as problem:  # the search index says so of its own damage
            raise StoreDamaged(path=str(database.path), detail=str(problem)) from problem
        if rows != [("ok",)]:
            raise StoreDamaged(path=str(database.path), detail=str(rows[0][0]))


def _version(database: Database) -> int:
    """Count the migrations that were done.

    Raises StoreNewer, or StoreDamaged where the two records of it differ.
    """
    (claimed,) = database.execute("PRAGMA user_version")[0]
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    if "migrations" not in tables:
        if claimed or tables:
            raise StoreDamaged(path=str(database.path), detail="its tables are missing")
        return 0
    rows = database.execute("SELECT version FROM migrations ORDER BY version")
    done = [version for (version,) in rows]
    if done != list(range(1, claimed + 1)):
        raise StoreDamaged(path=str(database.path), detail="its version is contradictory")
    if claimed > len(migrations.MIGRATIONS):
        known = len(migrations.MIGRATIONS)
        raise StoreNewer(path=str(database.path), found=claimed, known=known)
    return len(done)


def _migrate(database: Database, version: int) -> None:
    """Do the steps that are missing, each whole or not at all, after a backup."""
    missing = migrations.MIGRATIONS[version:]
    if version and missing:
        database.backup_to(_beside(database.path, f"v{version}"))
    for number, step in enumerate(missing, start=version + 1):
        with database.transaction():
            if number == 1:
                database.execute(
                    "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                    "done_at REAL NOT NULL) STRICT"
                )
            step(database.connection)
            database.execute(
                "INSERT INTO migrations VALUES (?, ?, unixepoch('subsec'))", (number, step.__name__)
            )
            database.execute(f"PRAGMA user_version = {number}")
        log.store.info("the database is at version %d (%s)", number, step.__name__)

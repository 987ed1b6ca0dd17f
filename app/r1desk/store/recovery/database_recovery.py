"""A damaged database: keep a copy of it, and carry what can be read into a fresh one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from r1desk.store.database import Database, sync_file
from r1desk.store.errors import translated_errors
from r1desk.store.recovery.row_reader import read_rows, repair_schema
from r1desk.store.recovery.row_restorer import restore_rows


def recover_database(path: Path, make: Callable[[Path], Database]) -> int:
    """Replace a damaged database by a fresh one with all that could be read from it.

    `make` makes an empty, up-to-date database. Returns how many rows are known to be lost. The
    damaged file is replaced at the very end, so a power cut on the way loses nothing more.
    """
    fresh = path.with_name(f"{path.stem}.rescued{path.suffix}")
    with translated_errors(path):
        for leftover in (fresh, wal_of(fresh)):
            leftover.unlink(missing_ok=True)
        database = make(fresh)
        try:
            found = read_rows(path)
            if not found.messages:
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


def set_aside(path: Path) -> Path:
    """Copy a damaged database, and its WAL, beside it under a name with the date."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
    copy_database(path, target)
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

"""The database of an index: opened, its tables made or brought to this version."""

import sqlite3
from pathlib import Path
from typing import Final

from deepseek_r1.core.paths import make_private_dir

_VERSION: Final = 2  # of the tables, and of what `indexed_terms` makes of a text
# Recognised pages, with ids as passages have; files that are nowhere else.
_OF_PICTURES: Final = """
CREATE TABLE recognised (id INTEGER PRIMARY KEY, page TEXT NOT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY, data BLOB NOT NULL)"""
_LATER: Final = ("recognised", "files")  # tables that version 1 did not have
_WAIT_S: Final = 10.0  # for another process that writes
_SCHEMA: Final = f"""
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL, kind TEXT NOT NULL,
    pages INTEGER, path TEXT NOT NULL, modified_ns INTEGER NOT NULL, passages INTEGER NOT NULL
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, place TEXT NOT NULL, start INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE VIRTUAL TABLE terms USING fts5(text, content='', tokenize='porter unicode61');
{_OF_PICTURES};
PRAGMA user_version = {_VERSION}"""
SECURE: Final = sqlite3.sqlite_version_info >= (3, 42)  # FTS5 can delete a word from its file


def opened(path: Path | None) -> sqlite3.Connection:
    """Open the file, and make its tables. Raises sqlite3.DatabaseError."""
    if path is not None:
        make_private_dir(path.parent)
        path.touch(mode=0o600)  # it holds the user's texts
    db = sqlite3.connect(path or "", timeout=_WAIT_S, check_same_thread=False)
    try:
        db.execute("PRAGMA cache_size = -4096")  # KiB; with more nothing is faster
        db.execute("PRAGMA auto_vacuum = FULL")  # what is removed gives its space back
        db.execute("PRAGMA secure_delete = ON")  # a text that is removed is gone
        with db:
            db.execute("BEGIN IMMEDIATE")  # of two processes one makes the tables
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 1:
                for name in _LATER:  # an older application keeps them and makes the others anew
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _OF_PICTURES.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                for name in ("documents", "passages", "terms", *_LATER):
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                if SECURE:
                    db.execute("INSERT INTO terms (terms, rank) VALUES ('secure-delete', 1)")
    except BaseException:
        db.close()
        raise
    return db


def is_whole(db: sqlite3.Connection) -> bool:
    """Whether SQLite finds nothing wrong in it."""
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False

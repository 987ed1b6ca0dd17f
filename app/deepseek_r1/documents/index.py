"""The texts of documents and the words in them, in one file of SQLite: full-text search (FTS5).

Each passage is one row of an index of words. Text with spaces is indexed by word stems, text
without (Chinese, Japanese, Korean, Thai) by overlapping pairs of characters, so that no dictionary
is needed. A question finds passages that have any of its words; rare words count more (`bm25`).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import DocumentIndexDamaged, DocumentIndexFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.documents.document import Document, Passage, Place
from deepseek_r1.documents.passages import indexed_terms, named_terms, passages, question_terms
from deepseek_r1.ocr.word_box import UNRECOGNISED, RecognisedPage

INDEX_FILE: Final = "documents.db"
_VERSION: Final = 2  # of the tables, and of what `indexed_terms` makes of a text
# Pages that are pictures, by `document * _NUMBERS + page`; files that are nowhere else.
_OF_PICTURES: Final = """
CREATE TABLE recognised (id INTEGER PRIMARY KEY, page TEXT NOT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY, data BLOB NOT NULL)"""
_WAIT_S: Final = 10.0  # for another process that writes
_NUMBERS: Final = 1 << 24  # passages of a document at most; ids are `document * _NUMBERS + number`
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
_SECURE: Final = sqlite3.sqlite_version_info >= (3, 42)  # FTS5 can delete a word from its file
_DOCUMENTS: Final = "SELECT sha256, name, path, modified_ns, passages FROM documents"
_COUNTED: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM terms WHERE terms MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)"""
_ROWS: Final = "SELECT count(*) FROM passages WHERE id BETWEEN ? AND ?"
_BEST: Final = """
SELECT id, score, json_extract(place, '$.page') FROM (
    SELECT rowid AS found, rank AS score FROM terms WHERE terms MATCH ? AND rowid BETWEEN ? AND ?
    AND rowid >> 24 IN (SELECT value FROM json_each(?)) ORDER BY rank LIMIT ?
) JOIN passages ON id = found ORDER BY score"""
_PASSAGES: Final = """
SELECT sha256, name, passages.id & 0xFFFFFF, place, text, start, start + length(text)
FROM passages JOIN documents ON documents.id = passages.id >> 24
WHERE passages.id BETWEEN ? AND ? ORDER BY passages.id"""
_HEADINGS: Final = """
SELECT heading FROM (
    SELECT id, json_extract(place, '$.heading') AS heading FROM passages WHERE id BETWEEN ? AND ?
) WHERE heading IS NOT NULL ORDER BY id"""
_MOST_ROWS: Final = 10_000  # that are ranked for one question
_RANKED: Final = 100  # passages that are compared by their pages
_OF_OTHERS: Final = 0.1  # what other passages of a page count


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """A document that is in the index."""

    sha256: str
    name: str
    path: str  # where it was read; may be gone by now
    modified_ns: int  # of that file when it was read
    passages: int


class DocumentIndex:
    """Documents by the SHA-256 of their files.

    Any thread may use it. Reading calls wait for each other, but for a writing one only while it
    ends, as for one of another process. A document is added whole or not at all, also where the
    power fails: what is missing afterwards is added again. All calls raise DocumentIndexFailed, and
    DocumentIndexDamaged after a damaged file was deleted; the next call has a new one.
    """

    def __init__(self, path: Path | None = None) -> None:
        """The first call opens or makes the file; without a path it is one without a name."""
        self._path, self._guard = path, threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self.added: dict[str, None] = {}  # hashes, by this object, in order

    @property
    def size_bytes(self) -> int:
        """The size of the file; 0 while there is none."""
        return self._path.stat().st_size if self._path is not None and self._path.exists() else 0

    def close(self) -> None:
        """Close the file. May be called twice; another call opens it again."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    # ---- documents --------------------------------------------------------------------------

    def add(
        self, document: Document, path: str = "", modified_ns: int = 0, data: bytes = b""
    ) -> None:
        """Add a document, or note another path of one that is there; `data` is its file to keep."""
        with self._written() as db:
            note = "UPDATE documents SET path = ?, modified_ns = ? WHERE sha256 = ?"
            if not db.execute(note, (path, modified_ns, document.sha256)).rowcount:
                columns = (document.sha256, document.name, document.kind, document.pages)
                insert = "INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?, 0)"
                added = db.execute(insert, (*columns, path, modified_ns)).lastrowid or 0
                count = 0
                for row_id, each in enumerate(passages(document), added * _NUMBERS):
                    count = each.number + 1
                    facts = asdict(each.place) | {"headings": each.headings}
                    known = {k: v for k, v in facts.items() if v not in (None, "", ())}
                    place = json.dumps(known, ensure_ascii=False)
                    row = (row_id, place, each.start, each.text)
                    db.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", row)
                    terms = indexed_terms(each.text, each.place.heading, each.name)
                    db.execute("INSERT INTO terms (rowid, text) VALUES (?, ?)", (row_id, terms))
                db.execute("UPDATE documents SET passages = ? WHERE id = ?", (count, added))
                if data:
                    db.execute("INSERT INTO files VALUES (?, ?)", (added, data))
                for block in document.blocks:
                    if block.recognised.boxes:
                        at = added * _NUMBERS + (block.place.page or 1)
                        kept = at, json.dumps(block.recognised, ensure_ascii=False)
                        db.execute("INSERT OR IGNORE INTO recognised VALUES (?, ?)", kept)
            db.execute("PRAGMA shrink_memory")
        self.added[document.sha256] = None

    def remove(self, sha256: str) -> None:
        """Remove a document with all its text and words."""
        with self._written() as db:
            if (known := self._id(db, sha256)) is None:
                return
            span = _span(known)
            for row_id, each in enumerate(self._rows(db, span), span[0]):
                terms = indexed_terms(each.text, each.place.heading, each.name)
                old = "INSERT INTO terms (terms, rowid, text) VALUES ('delete', ?, ?)"
                db.execute(old, (row_id, terms))
            if not _SECURE:
                db.execute("INSERT INTO terms (terms) VALUES ('optimize')")
            db.execute("DELETE FROM passages WHERE id BETWEEN ? AND ?", span)
            db.execute("DELETE FROM recognised WHERE id BETWEEN ? AND ?", span)
            for table in ("documents", "files"):
                db.execute(f"DELETE FROM {table} WHERE id = ?", (known,))  # noqa: S608
        self.added.pop(sha256, None)

    def documents(self) -> list[IndexedDocument]:
        """All documents, in the order in which they were added."""
        with self._used() as db:
            return [IndexedDocument(*row) for row in db.execute(f"{_DOCUMENTS} ORDER BY id")]

    def document(self, sha256: str) -> IndexedDocument | None:
        """One document; None where it is not there."""
        with self._used() as db:
            row = db.execute(f"{_DOCUMENTS} WHERE sha256 = ?", (sha256,)).fetchone()
            return None if row is None else IndexedDocument(*row)

    def passages(self, sha256: str, most: int = _NUMBERS) -> list[Passage]:
        """The first passages of a document, in order; none for one that is not there."""
        with self._used() as db:
            known = self._id(db, sha256)
            first, last = _span(known or 0)
            return (
                [] if known is None else list(self._rows(db, (first, min(last, first + most - 1))))
            )

    def recognised(self, sha256: str, page: int) -> RecognisedPage:
        """A page as it was recognised, from 1, or a picture; without words where it was not."""
        with self._used() as db:
            row_id = (self._id(db, sha256) or 0) * _NUMBERS + page
            row = db.execute("SELECT page FROM recognised WHERE id = ?", (row_id,)).fetchone()
            return RecognisedPage.of(*json.loads(row[0])) if row else UNRECOGNISED

    def file(self, sha256: str) -> bytes:
        """The file of a document that was kept; b"" for none."""
        with self._used() as db:
            known = self._id(db, sha256)
            row = db.execute("SELECT data FROM files WHERE id = ?", (known,)).fetchone()
            return row[0] if row else b""

    def outline(self, sha256: str, most: int = 40) -> list[str]:
        """The document's headings, each once, in order; at most that many."""
        with self._used() as db:
            known, headings = self._id(db, sha256), dict[str, None]()
            for (heading,) in db.execute(_HEADINGS, _span(known)) if known is not None else ():
                headings[heading] = None
                if len(headings) == most:
                    break
            return list(headings)

    # ---- searching --------------------------------------------------------------------------

    def search(self, question: str, sha256s: Iterable[str], limit: int = 8) -> list[Passage]:
        """The passages of these documents that have most of the question's words, best first.

        Each is of another page: the best one there. What else is found on its page counts a little.
        """
        with self._used() as db:
            ids = [known for sha in sha256s if (known := self._id(db, sha)) is not None]
            span = (_span(min(ids))[0], _span(max(ids))[1]) if ids else (0, 0)
            if not (terms := self._rare(db, question_terms(question), span)):
                return []
            pages: dict[tuple[int, int | None], tuple[int, float]] = {}
            values = (" OR ".join(terms), *span, json.dumps(ids), _RANKED)
            for row_id, rank, page in db.execute(_BEST, values):  # a better rank is less
                key = (row_id if page is None else row_id >> 24, page)
                best, so_far = pages.get(key, (row_id, rank * (1 - _OF_OTHERS)))
                pages[key] = best, so_far + rank * _OF_OTHERS
            ordered = sorted(pages.values(), key=lambda page: page[1])[:limit]
            return [each for best, _ in ordered for each in self._rows(db, (best, best))]

    def weight(self, question: str, passage: Passage, sha256s: Iterable[str]) -> float:
        """Return how much of what a question names is in a passage of these documents.

        A word that no other passage has is 1; of one that others have less remains, as in `bm25`.
        """
        with self._used() as db:
            ids = [known for sha in sha256s if (known := self._id(db, sha)) is not None]
            span = (_span(min(ids))[0], _span(max(ids))[1])
            (count,) = db.execute(_ROWS, span).fetchone()
            row_id, weight = (self._id(db, passage.sha256) or 0) * _NUMBERS + passage.number, 0.0
            for term in named_terms(question):
                if db.execute(_COUNTED, (term, row_id, row_id, 1)).fetchone()[0]:
                    has = db.execute(_COUNTED, (term, *span, _MOST_ROWS)).fetchone()[0]
                    weight += log((count + 1) / (has + 0.5)) / log((count + 1) / 1.5)
            return weight

    def neighbours(self, passage: Passage) -> list[Passage]:
        """The passages before and after this one, of the same document."""
        with self._used() as db:
            at = (self._id(db, passage.sha256) or 0) * _NUMBERS + passage.number
            around = self._rows(db, (at - 1, at + 1))
            return [each for each in around if each.sha256 == passage.sha256 and each != passage]

    # ---- rows -------------------------------------------------------------------------------

    @staticmethod
    def _rare(db: sqlite3.Connection, terms: Iterable[str], span: tuple[int, int]) -> list[str]:
        """The rarer terms: each row that has one takes time, and common ones count little."""
        counts = {
            term: db.execute(_COUNTED, (term, *span, _MOST_ROWS)).fetchone()[0] for term in terms
        }
        found, rows = list[str](), 0
        for term in sorted(counts, key=counts.__getitem__):
            rows += counts[term]
            if counts[term] and (not found or rows <= _MOST_ROWS):
                found.append(term)
        return found

    @staticmethod
    def _id(db: sqlite3.Connection, sha256: str) -> int | None:
        found = db.execute("SELECT id FROM documents WHERE sha256 = ?", (sha256,)).fetchone()
        return found and int(found[0])

    @staticmethod
    def _rows(db: sqlite3.Connection, span: tuple[int, int]) -> Iterator[Passage]:
        for sha256, name, number, place, text, start, end in db.execute(_PASSAGES, span):
            known = json.loads(place)
            headings = tuple(known.pop("headings", ()))
            yield Passage(sha256, name, number, Place(**known), text, start, end, headings)

    # ---- the file ---------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        """Open the file if need be."""
        with self._guard, self._own_errors():
            if self._connection is None:
                self._connection = _opened(self._path)
            yield self._connection

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """Begin to write: where there is a file, by a connection of its own beside the readers."""
        if self._path is None:
            with self._used() as db, db:
                db.execute("BEGIN IMMEDIATE")
                yield db
            return
        with self._own_errors(), closing(_opened(self._path)) as db, db:
            db.execute("BEGIN IMMEDIATE")  # of two processes one adds a document
            yield db

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """SQLite's errors become ours; a damaged file is deleted: all it has is made of files.

        One without a name is kept where it is whole: what failed was rolled back.
        """
        try:
            yield
        except OSError as error:  # the folder cannot be made or written
            raise DocumentIndexFailed(path=str(self._path), detail=str(error)) from error
        except sqlite3.DatabaseError as error:
            where = self._path
            if where is None and (self._connection is None or _is_whole(self._connection)):
                folder = tr("the temporary folder")  # SQLite chooses it
                raise DocumentIndexFailed(path=folder, detail=str(error)) from error
            self.close()
            if where is None:
                self.added = {}
                raise DocumentIndexDamaged(detail=str(error)) from error
            # Python's module itself refuses a text that is not UTF-8, without a code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise DocumentIndexFailed(path=str(where), detail=str(error)) from error
            try:
                for name in (where.name, f"{where.name}-journal"):
                    where.with_name(name).unlink(missing_ok=True)
            except OSError as failure:
                raise DocumentIndexFailed(path=str(where), detail=str(failure)) from error
            raise DocumentIndexDamaged(detail=str(error)) from error


def _opened(path: Path | None) -> sqlite3.Connection:
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
                for statement in _OF_PICTURES.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                for name in ("documents", "passages", "terms", "recognised", "files"):
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                if _SECURE:
                    db.execute("INSERT INTO terms (terms, rank) VALUES ('secure-delete', 1)")
    except BaseException:
        db.close()
        raise
    return db


def _is_whole(db: sqlite3.Connection) -> bool:
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def _span(document: int) -> tuple[int, int]:
    """The first and the last id that a document's passages can have."""
    return document * _NUMBERS, document * _NUMBERS + _NUMBERS - 1

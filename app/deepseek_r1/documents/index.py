"""The texts of documents and the words in them, in one file of SQLite: full-text search (FTS5).

Each passage is one row of an index of words. Text with spaces is indexed by word stems, text
without (Chinese, Japanese, Korean, Thai) by overlapping pairs of characters, so that no dictionary
is needed. A question finds passages that have any of its words; rare words count more (`bm25`).
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from math import log
from pathlib import Path
from typing import Final

from deepseek_r1.core.errors import DocumentIndexDamaged, DocumentIndexFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import (
    UNRECOGNISED,
    Document,
    Passage,
    Place,
    RecognisedPage,
)
from deepseek_r1.documents.index_file import SECURE, is_whole, opened
from deepseek_r1.documents.passages import indexed_terms, named_terms, passages, question_terms

INDEX_FILE: Final = "documents.db"
_NUMBERS: Final = 1 << 24  # passages of a document at most; ids are `document * _NUMBERS + number`
_AT_ONCE: Final = 300  # passages that are written before another thread or process has its turn
_TURN_S: Final = 0.002
_UNFINISHED: Final = -1  # the passages of a document that is being added or removed
_DOCUMENTS: Final = (
    "SELECT sha256, name, path, modified_ns, passages FROM documents WHERE passages >= 0"
)
_COUNTED: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM terms WHERE terms MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)"""
_ROWS: Final = "SELECT count(*) FROM passages WHERE id BETWEEN ? AND ?"
_BEST: Final = """
SELECT id, score, json_extract(place, '$.page') FROM (
    SELECT rowid AS found, rank AS score FROM terms WHERE terms MATCH ? AND rowid BETWEEN ? AND ?
    AND rowid / ? IN (SELECT value FROM json_each(?)) ORDER BY rank LIMIT ?
) JOIN passages ON id = found ORDER BY score"""
_PASSAGES: Final = """
SELECT sha256, name, passages.id % ?, place, text, start, start + length(text)
FROM passages JOIN documents ON documents.id = passages.id / ?
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

    Any thread may use it. Calls wait for each other, but a long document is written and deleted a
    few hundred passages at a time: others have their turn in between. It is there once it is whole,
    also where the power fails: what is missing afterwards is added again. All calls raise
    DocumentIndexFailed, and DocumentIndexDamaged after a damaged file was deleted; the next call
    has a new one.
    """

    def __init__(self, path: Path | None = None) -> None:
        """The first call opens or makes the file; without a path it is one without a name."""
        self._path, self._guard = path, threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self.added: dict[str, None] = {}  # hashes, by this object, in order
        self._left: set[str] = set()  # the hidden hashes of documents that are to be deleted

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
        self._delete_left()
        hidden, is_whole = secrets.token_hex(32), False  # instead of its hash, until it is whole
        with self._written() as db:
            note = "UPDATE documents SET path = ?, modified_ns = ? WHERE sha256 = ?"
            if db.execute(note, (path, modified_ns, document.sha256)).rowcount:
                self.added[document.sha256] = None
                return
            columns = hidden, document.name, document.kind, document.pages, path, modified_ns
            insert = "INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
            db.execute(insert, (*columns, _UNFINISHED))
        try:
            is_whole = self._add_rows(document, hidden, data)
        finally:
            if not is_whole:
                self._left.add(hidden)
        if not is_whole:  # another process added it first, or opened the file and deleted this one
            self.add(document, path, modified_ns, data)
        self.added[document.sha256] = None

    def _add_rows(self, document: Document, hidden: str, data: bytes) -> bool:
        """Add all that a document has, and show it. False where it is gone, or is there already."""
        cut, count, is_last = passages(document), 0, False
        while not is_last:
            rows = [(each, _terms_of(each)) for each in islice(cut, _AT_ONCE)]
            count, is_last = count + len(rows), len(rows) < _AT_ONCE
            with self._written() as db:
                added = self._id(db, hidden)
                if added is None or self._id(db, document.sha256) is not None:
                    return False
                for each, terms in rows:
                    row = added * _NUMBERS + each.number, _place(each), each.start, each.text
                    db.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", row)
                    db.execute("INSERT INTO terms (rowid, text) VALUES (?, ?)", (row[0], terms))
                if is_last:
                    _add_pictures(db, document, added, data)
                    shown = "UPDATE documents SET sha256 = ?, passages = ? WHERE id = ?"
                    db.execute(shown, (document.sha256, count, added))
        with self._used() as db:
            db.execute("PRAGMA shrink_memory")
        return True

    def remove(self, sha256: str) -> None:
        hidden = secrets.token_hex(32)
        with self._written() as db:
            hide = "UPDATE documents SET sha256 = ?, passages = ? WHERE sha256 = ?"
            db.execute(hide, (hidden, _UNFINISHED, sha256))
        self.added.pop(sha256, None)
        self._left.add(hidden)
        self._delete_left()

    def _delete_left(self) -> None:
        """Delete the documents that were not added whole, or not removed whole."""
        with self._used():  # opening the file finds those of a process that was ended
            left = list(self._left)
        for hidden in left:
            while self._delete_some(hidden):
                time.sleep(_TURN_S)
            self._left.discard(hidden)

    def _delete_some(self, hidden: str) -> bool:
        """Delete passages of a document, with the last ones all of it. Whether more are left."""
        with self._written() as db:
            if (known := self._id(db, hidden)) is None:
                return False
            span = _span(known)
            some = list(islice(self._rows(db, span), _AT_ONCE))
            for each in some:
                row_id = span[0] + each.number
                old = "INSERT INTO terms (terms, rowid, text) VALUES ('delete', ?, ?)"
                db.execute(old, (row_id, _terms_of(each)))
                db.execute("DELETE FROM passages WHERE id = ?", (row_id,))
            if len(some) < _AT_ONCE:
                if not SECURE:
                    db.execute("INSERT INTO terms (terms) VALUES ('optimize')")
                db.execute("DELETE FROM recognised WHERE id BETWEEN ? AND ?", span)
                for table in ("documents", "files"):
                    db.execute(f"DELETE FROM {table} WHERE id = ?", (known,))  # noqa: S608
            return len(some) == _AT_ONCE

    def documents(self) -> list[IndexedDocument]:
        with self._used() as db:
            return [IndexedDocument(*row) for row in db.execute(f"{_DOCUMENTS} ORDER BY id")]

    def document(self, sha256: str) -> IndexedDocument | None:
        with self._used() as db:
            row = db.execute(f"{_DOCUMENTS} AND sha256 = ?", (sha256,)).fetchone()
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
            values = (" OR ".join(terms), *span, _NUMBERS, json.dumps(ids), _RANKED)
            for row_id, rank, page in db.execute(_BEST, values):  # a better rank is less
                key = (row_id if page is None else row_id // _NUMBERS, page)
                best, so_far = pages.get(key, (row_id, rank * (1 - _OF_OTHERS)))
                pages[key] = best, so_far + rank * _OF_OTHERS
            ordered = sorted(pages.values(), key=lambda page: page[1])[:limit]
            return [each for best, _ in ordered for each in self._rows(db, (best, best))]

    def weight(
        self, question: str, passage: Passage, sha256s: Iterable[str]
    ) -> tuple[float, float]:
        """Return how much of what a question names is in a passage of these documents.

        A word that no other passage has is 1; of one that others have less remains, as in `bm25`.
        The second number is its share of the weight of all that the question names.
        """
        with self._used() as db:
            ids = [known for sha in sha256s if (known := self._id(db, sha)) is not None]
            span = (_span(min(ids))[0], _span(max(ids))[1])
            (count,) = db.execute(_ROWS, span).fetchone()
            row_id = (self._id(db, passage.sha256) or 0) * _NUMBERS + passage.number
            weight = total = 0.0
            for term in named_terms(question):
                has = db.execute(_COUNTED, (term, *span, _MOST_ROWS)).fetchone()[0]
                rare = log((count + 1) / (max(has, 1) + 0.5)) / log((count + 1) / 1.5)
                total += rare
                if db.execute(_COUNTED, (term, row_id, row_id, 1)).fetchone()[0]:
                    weight += rare
            return weight, weight / total if total else 0.0

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
        values = (_NUMBERS, _NUMBERS, *span)
        for sha256, name, number, place, text, start, end in db.execute(_PASSAGES, values):
            known = json.loads(place)
            headings = tuple(known.pop("headings", ()))
            yield Passage(sha256, name, number, Place(**known), text, start, end, headings)

    # ---- the file ---------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        with self._guard, self._own_errors():
            if self._connection is None:
                self._connection = opened(self._path)
                unfinished = "SELECT sha256 FROM documents WHERE passages < 0"
                self._left = {hidden for (hidden,) in self._connection.execute(unfinished)}
            yield self._connection

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """Begin to write: where there is a file, by a connection of its own beside the readers."""
        if self._path is None:
            with self._used() as db, db:
                db.execute("BEGIN IMMEDIATE")
                yield db
            return
        with self._own_errors(), closing(opened(self._path)) as db, db:
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
            if where is None and (self._connection is None or is_whole(self._connection)):
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


def _terms_of(passage: Passage) -> str:
    return indexed_terms(passage.text, passage.place.heading, passage.name)


def _place(passage: Passage) -> str:
    facts = asdict(passage.place) | {"headings": passage.headings}
    known = {key: value for key, value in facts.items() if value not in (None, "", ())}
    return json.dumps(known, ensure_ascii=False)


def _add_pictures(db: sqlite3.Connection, document: Document, added: int, data: bytes) -> None:
    if data:
        db.execute("INSERT INTO files VALUES (?, ?)", (added, data))
    for block in document.blocks:
        if block.recognised.boxes:
            at = added * _NUMBERS + (block.place.page or 1)
            kept = at, json.dumps(block.recognised, ensure_ascii=False)
            db.execute("INSERT OR IGNORE INTO recognised VALUES (?, ?)", kept)


def _span(document: int) -> tuple[int, int]:
    return document * _NUMBERS, document * _NUMBERS + _NUMBERS - 1

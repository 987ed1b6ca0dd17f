"""The segments in a folder, within a disk budget. Safe from any thread; one process at a time.

A folder holds `key` (of the hashes, readable by the user alone), `index.sqlite`, `lock` and
`segments/`. Whatever is wrong with a segment, it is deleted and its tokens are computed again; a
disk that refuses a write ends the writing, never an answer.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from deepseek_r1.core import log
from deepseek_r1.core.errors import PromptCacheUnavailable
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.common_prefix import common_length
from deepseek_r1.engine.llama.prompt_cache.segment import (
    KEY_BYTES,
    SEGMENT_TOKENS,
    SUFFIX,
    TEMPORARY_SUFFIX,
    Segment,
    SegmentDamagedError,
    read_header,
    write_file,
)
from deepseek_r1.engine.llama.prompt_cache.segment_index import SegmentIndex

LOCK_WAIT_S = 2.0  # an engine before this one may still be ending
_LEFT_FREE_BYTES = 512 << 20  # of the drive, for everything else
_WORTH_TOKENS = 8  # fewer are computed sooner than read
_INDEX_FILES = ("index.sqlite", "index.sqlite-journal", "index.sqlite-wal", "index.sqlite-shm")
_DAMAGED = (sqlite3.Error, ValueError, TypeError, OverflowError)  # of an index file

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class SegmentMatch:
    """A segment, and how many of its first tokens a prompt has at the same positions."""

    segment: Segment
    tokens: int


@dataclass(frozen=True, slots=True)
class PromptCacheUsage:
    """The use of the folder. `problem` is why the last write failed, empty where it did not."""

    bytes: int
    budget_bytes: int
    segments: int
    written_today_bytes: int
    problem: str = ""


class PromptCache:
    """Finds, reads, writes and evicts segments."""

    def __init__(self, folder: Path, budget_bytes: int, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Open or create the folder. Raises PromptCacheUnavailable."""
        self._folder, self._segments = folder, folder / "segments"
        self._budget_bytes = budget_bytes
        self._guard = threading.RLock()
        self._problem, self._closed = "", False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._segments.mkdir(mode=0o700, exist_ok=True)
            self._lock = FileLock(folder / "lock", timeout=lock_wait_s, thread_local=False)
            self._lock.acquire()
        except Timeout as error:
            detail = tr("another program is using it")
            raise PromptCacheUnavailable(path=str(folder), detail=detail) from error
        except OSError as error:
            raise PromptCacheUnavailable(path=str(folder), detail=str(error)) from error
        try:
            self._key = self._read_key()
            self._index = self._open_index()
            self._use_index(self._reconcile, None)
        except (OSError, sqlite3.Error) as error:
            self._lock.release()
            raise PromptCacheUnavailable(path=str(folder), detail=str(error)) from error

    def close(self) -> None:
        """Close the index and release the folder to other processes. May be called twice."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._index.close()
                self._lock.release()

    # ---- reading ----------------------------------------------------------------------------

    def match(
        self, root: bytes, tokens: Sequence[int], piece_tokens: int = 0
    ) -> list[SegmentMatch]:
        """Return the segments that begin `tokens`, in order. Only the last may match in part.

        With `piece_tokens` only tokens match that were computed in whole pieces of that size.
        """

        def find() -> list[SegmentMatch]:
            found: list[SegmentMatch] = []
            parent, first = root, 0
            while best := self._best_child(parent, first, tokens, piece_tokens):
                found.append(best)
                if best.tokens < SEGMENT_TOKENS:
                    break
                parent, first = best.segment.id, first + best.tokens
            return found

        with self._guard:
            return self._use_index(find, [])

    def _best_child(
        self, parent: bytes, first: int, tokens: Sequence[int], piece_tokens: int
    ) -> SegmentMatch | None:
        wanted = tokens[first : first + SEGMENT_TOKENS]
        best: SegmentMatch | None = None
        for child in self._index.children(parent):
            if child.first != first:
                continue
            same = child.reusable(common_length(child.tokens, wanted), piece_tokens)
            worth = same >= min(_WORTH_TOKENS, len(child.tokens))
            if worth and (best is None or same > best.tokens):
                best = SegmentMatch(child, same)
        return best

    def read(self, segment: Segment, use: Callable[[memoryview], bool]) -> bool:
        """Hand a segment's checked state to `use`; False where it cannot be used.

        A file that is not the segment it should be is deleted, and so is one that `use` refuses.
        """
        with self._guard:
            if self._closed:
                return False
            try:
                good = segment.read(self._path(segment), self._key, use)
            except (SegmentDamagedError, OSError) as error:
                log.engine.warning("a prompt's segment cannot be used and is deleted: %s", error)
                good = False
            after = self._index.used if good else self._delete
            self._use_index(lambda: after(segment), None)
            return good

    # ---- writing ----------------------------------------------------------------------------

    def keep(self, segment: Segment, owner: str) -> bool:
        """Note that `owner` has this segment; False where it is not there and must be written.

        One that was computed in whole pieces replaces one that was not.
        """

        def keep() -> bool:
            there = self._index.get(segment.id)
            if there is None:
                return False
            if (there.root, there.first) != (segment.root, segment.first):
                self._delete(there)
                return False
            self._index.add_owner(segment, owner)
            return bool(there.piece_tokens or not segment.piece_tokens)

        with self._guard:
            return self._use_index(keep, otherwise=False)

    def write(
        self,
        segment: Segment,
        owner: str,
        cost: float,
        fill: Callable[[memoryview], None],
        chain: Collection[bytes] = (),
    ) -> bool:
        """Write a segment whose state `fill` gives; False where the disk or the budget refuses.

        An unfinished segment that `owner` had in its place is deleted. `cost` is what computing
        would cost, in any unit that is the same for all; `chain` are the ids that lead to it.
        """

        def register() -> None:
            with self._index.transaction():
                self._index.add(segment, cost)
                self._index.add_owner(segment, owner)
                self._index.add_written(segment.file_bytes)
            self._delete_superseded(segment, owner)

        with self._guard:
            try:
                if not self._fits(segment, chain):
                    return False
                write_file(self._path(segment), segment.encode(self._key, fill))
            except OSError as error:
                self._problem = str(error)
                log.engine.warning("a prompt's segment cannot be written: %s", error)
                return False
            self._problem = ""
            self._use_index(register, None)
            return True

    def _fits(self, segment: Segment, chain: Collection[bytes]) -> bool:
        if shutil.disk_usage(self._folder).free < segment.file_bytes + _LEFT_FREE_BYTES:
            self._problem = tr("the drive is nearly full")
            return False

        def evicted_enough() -> bool:
            self._evict(segment.file_bytes, chain)
            return self._index.total_bytes() + segment.file_bytes <= self._budget_bytes

        return self._use_index(evicted_enough, otherwise=False)

    def _evict(self, needed_bytes: int, keep: Collection[bytes] = ()) -> None:
        while self._index.total_bytes() + needed_bytes > self._budget_bytes:
            evicted = self._index.evict(keep)
            if evicted is None:
                return
            self._unlink(evicted)

    def _delete_superseded(self, segment: Segment, owner: str) -> None:
        for sibling in list(self._index.children(segment.parent)):
            count = len(sibling.tokens)
            shorter = count < len(segment.tokens) and sibling.tokens == segment.tokens[:count]
            if shorter and self._index.owners(sibling) <= {owner}:
                self._delete(sibling)

    # ---- deleting ---------------------------------------------------------------------------

    def retain_owners(self, owners: Iterable[str]) -> None:
        """Delete every segment that belongs to none of `owners`."""

        def retain() -> None:
            with self._index.transaction():
                self._index.retain_owners(owners)
            for segment in list(self._index.unowned()):
                self._delete(segment)
            self._delete_orphans()

        with self._guard:
            self._use_index(retain, None)

    def set_budget(self, budget_bytes: int) -> None:
        """Another disk budget; what is too much is evicted now."""
        with self._guard:
            self._budget_bytes = budget_bytes
            self._use_index(lambda: self._evict(0), None)

    def clear(self) -> None:
        """Delete everything."""
        self.retain_owners(())

    def _delete(self, segment: Segment) -> None:
        """The file first: a row without a file is found at the next start."""
        self._unlink(segment)
        self._index.remove(segment)

    def _unlink(self, segment: Segment) -> None:
        try:
            self._path(segment).unlink(missing_ok=True)
        except OSError as error:  # it is found again at the next start
            self._problem = str(error)
            log.engine.warning("a prompt's segment cannot be deleted: %s", error)

    def _delete_orphans(self) -> None:
        while orphans := list(self._index.orphans()):
            for segment in orphans:
                self._delete(segment)

    # ---- what is there ----------------------------------------------------------------------

    def usage(self) -> PromptCacheUsage:
        """Sizes and counts of this moment."""

        def count() -> tuple[int, int, int]:
            index = self._index
            return index.total_bytes(), index.count(), index.written_today()

        with self._guard:
            nbytes, segments, written = self._use_index(count, (0, 0, 0))
            return PromptCacheUsage(nbytes, self._budget_bytes, segments, written, self._problem)

    def _path(self, segment: Segment) -> Path:
        return self._segments / segment.file_name

    # ---- opening ----------------------------------------------------------------------------

    def _read_key(self) -> bytes:
        """The key of the hashes; a new one makes all segments there are unreadable."""
        path = self._folder / "key"
        if path.is_file():
            key = path.read_bytes()
            if len(key) == KEY_BYTES:
                return key
        key = secrets.token_bytes(KEY_BYTES)
        path.unlink(missing_ok=True)
        with open(path, "xb", opener=_for_the_user_alone) as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        for old in self._segments.iterdir():
            old.unlink()
        return key

    def _open_index(self) -> SegmentIndex:
        path = self._folder / _INDEX_FILES[0]
        try:
            return SegmentIndex(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.Error as error:
            log.engine.warning("the index of prompts is damaged and is rebuilt: %s", error)
        for name in _INDEX_FILES:
            (self._folder / name).unlink(missing_ok=True)
        return SegmentIndex(path)

    def _use_index(self, use: Callable[[], Result], otherwise: Result) -> Result:
        """Return the result of `use`, or `otherwise` where the index is unusable or closed.

        A damaged index is rebuilt from the files. A disk error is kept as the problem that is
        shown.
        """
        if self._closed:
            return otherwise
        try:
            return use()
        except sqlite3.OperationalError as error:
            self._problem = str(error)
            log.engine.warning("the index of prompts cannot be used: %s", error)
        except _DAMAGED as error:
            self._problem = str(error)
            log.engine.warning("the index of prompts is damaged and is rebuilt: %s", error)
            self._rebuild_index()
        return otherwise

    def _rebuild_index(self) -> None:
        self._index.close()
        try:
            for name in _INDEX_FILES:
                (self._folder / name).unlink(missing_ok=True)
            self._index = SegmentIndex(self._folder / _INDEX_FILES[0])
            self._reconcile()
        except (OSError, sqlite3.Error) as error:
            self._problem = str(error)
            log.engine.warning("the index of prompts cannot be made anew: %s", error)

    def _reconcile(self) -> None:
        """Make index and files agree after a crash: what either lacks is adopted or deleted."""
        sizes = self._file_sizes()
        known = set()
        for segment in list(self._index.all()):
            if sizes.get(segment.file_name) == segment.file_bytes:
                known.add(segment.file_name)
            else:
                self._delete(segment)
        for name in sizes.keys() - known:
            self._adopt(self._segments / name)
        self._delete_orphans()
        self._evict(0)

    def _file_sizes(self) -> dict[str, int]:
        """Bytes of each segment's file; whatever else lies there is deleted."""
        sizes = {}
        with os.scandir(self._segments) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
                elif entry.name.endswith(TEMPORARY_SUFFIX) or entry.is_symlink():
                    Path(entry.path).unlink(missing_ok=True)
        return sizes

    def _adopt(self, path: Path) -> None:
        try:
            segment = read_header(path)
        except (SegmentDamagedError, OSError) as error:
            log.engine.warning("a file among the prompts' segments is deleted: %s", error)
            path.unlink(missing_ok=True)
        else:
            self._index.add(segment, cost=float(len(segment.tokens)))


def _for_the_user_alone(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)

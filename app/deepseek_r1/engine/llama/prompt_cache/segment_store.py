"""The segments in a folder, within a disk budget. Safe from any thread; one process at a time.

A folder holds `key` (of the hashes, readable by the user alone), `owners.json`, `lock` and
`segments/`. A segment's file says in its name what it is and by its time when it was last used.
Whatever is wrong with a segment, it is deleted and its tokens are computed again; a disk that
refuses a write ends the writing, never an answer.
"""

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.errors import PromptCacheUnavailable
from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import make_private_dir
from deepseek_r1.engine.llama.prompt_cache.owners import SegmentOwners
from deepseek_r1.engine.llama.prompt_cache.segment import (
    CHECKPOINT_SUFFIX,
    KEY_BYTES,
    SEGMENT_TOKENS,
    SUFFIX,
    TEMPORARY_SUFFIX,
    Segment,
    SegmentDamagedError,
    ids_of,
    make_segment,
    read_header,
    write_file,
)
from deepseek_r1.engine.prompt.prompt_builder import common_length

LOCK_WAIT_S = 2.0  # an engine before this one may still be ending
_LEFT_FREE_BYTES = 512 << 20  # of the drive, for everything else
_MIB = 1 << 20
_WORTH_TOKENS = 8  # fewer are computed sooner than read


@dataclass(slots=True)
class _File:
    """A segment's file: what its name says, its size, and when it was last used."""

    path: Path
    root: bytes
    parent: bytes
    nbytes: int
    used: float
    checkpoint: bool


@dataclass(frozen=True, slots=True)
class SegmentMatch:
    """A segment, and how many of its first tokens a prompt has at the same positions."""

    segment: Segment
    tokens: int


class PromptCache:
    """Finds, reads, writes and evicts segments, and checkpoints beside them."""

    def __init__(self, folder: Path, budget_bytes: int, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Open or create the folder. Raises PromptCacheUnavailable."""
        self._folder, self._segments = folder, folder / "segments"
        self._budget_bytes = budget_bytes
        self._guard = threading.RLock()
        self._problem, self._closed = "", False
        self._files: dict[bytes, _File] = {}  # by the segment's id
        try:
            make_private_dir(folder)
            self._lock = FileLock(folder / "lock", timeout=lock_wait_s, thread_local=False)
            self._lock.acquire()
        except Timeout as error:
            detail = tr("another program is using it")
            raise PromptCacheUnavailable(path=str(folder), detail=detail) from error
        except OSError as error:
            raise PromptCacheUnavailable(path=str(folder), detail=str(error)) from error
        try:
            self._open()
        except OSError as error:
            self._lock.release()
            raise PromptCacheUnavailable(path=str(folder), detail=str(error)) from error

    def close(self) -> None:
        """Release the folder to other processes. May be called twice."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._files.clear()
                self._lock.release()

    # ---- reading ----------------------------------------------------------------------------

    def match(
        self, root: bytes, tokens: Sequence[int], piece_tokens: int = 0
    ) -> list[SegmentMatch]:
        """Return the segments that begin `tokens`, in order. Only the last may match in part.

        With `piece_tokens` only tokens match that were computed in whole pieces of that size.
        """
        with self._guard:
            found: list[SegmentMatch] = []
            parent, first = root, 0
            while best := self._best_child(root, parent, tokens[first:], first, piece_tokens):
                found.append(best)
                if best.tokens < SEGMENT_TOKENS:
                    break
                parent, first = best.segment.id, first + best.tokens
            return found

    def checkpoints(
        self, root: bytes, tokens: Sequence[int], piece_tokens: int = 0
    ) -> list[Segment]:
        """Return the checkpoints among `tokens`, in order; with `piece_tokens` as `match` does."""
        found: list[Segment] = []
        with self._guard:
            parent = root
            for first in range(0, len(tokens), SEGMENT_TOKENS):
                some = tuple(tokens[first : first + SEGMENT_TOKENS])
                found += sorted(
                    (
                        each
                        for each in self._children(parent, checkpoints=True)
                        if (each.root, each.first) == (root, first)
                        and each.tokens == some[: len(each.tokens)]
                        and (not piece_tokens or each.piece_tokens == piece_tokens)
                    ),
                    key=lambda each: each.end,
                )
                parent = make_segment(root, parent, first, some).id
        return found

    def _best_child(
        self, root: bytes, parent: bytes, tokens: Sequence[int], first: int, piece_tokens: int
    ) -> SegmentMatch | None:
        best: SegmentMatch | None = None
        for child in self._children(parent):
            if (child.root, child.first) != (root, first):
                continue
            same = child.reusable(common_length(child.tokens, tokens), piece_tokens)
            worth = same >= min(_WORTH_TOKENS, len(child.tokens))
            if worth and (best is None or same > best.tokens):
                best = SegmentMatch(child, same)
        return best

    def _children(self, parent: bytes, *, checkpoints: bool = False) -> list[Segment]:
        ids = [
            segment
            for segment, file in self._files.items()
            if file.parent == parent and file.checkpoint == checkpoints
        ]
        return [header for segment in ids if (header := self._header(segment)) is not None]

    def _header(self, segment: bytes) -> Segment | None:
        """The segment with this id as its file says; None where there is no good one."""
        file = self._files.get(segment)
        if file is None:
            return None
        try:
            return read_header(file.path)
        except (SegmentDamagedError, OSError) as error:
            log.engine.warning("a prompt's segment is deleted: %s", error)
            self._delete(segment)
            return None

    def read(self, segment: Segment, use: Callable[[memoryview], bool]) -> bool:
        """Hand a segment's checked state to `use`; False where it cannot be used.

        A file that is not the segment it should be is deleted, and so is one that `use` refuses.
        """
        with self._guard:
            file = self._files.get(segment.id)
            if file is None:
                return False
            try:
                good = segment.read(file.path, self._key, use)
            except (SegmentDamagedError, OSError) as error:
                log.engine.warning("a prompt's segment cannot be used and is deleted: %s", error)
                good = False
            if good:
                self._touch(file)
            else:
                self._delete(segment.id)
            return good

    def _touch(self, file: _File) -> None:
        """The file was used now; its time says so at the next start."""
        file.used = time.time()
        try:
            if os.utime not in os.supports_fd:  # Windows
                os.utime(file.path)
                return
            # By its descriptor: a locked process may change the times of no other file.
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.utime(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:  # a disk that can only be read
            self._problem = str(error)

    # ---- writing ----------------------------------------------------------------------------

    def keep(self, segment: Segment, owner: str) -> bool:
        """Note that `owner` has this segment; False where it is not there and must be written.

        One that was computed in whole pieces replaces one that was not.
        """
        with self._guard:
            there = self._header(segment.id)
            if there is None:
                return False
            if (there.root, there.first) != (segment.root, segment.first):
                self._delete(segment.id)
                return False
            if self._owners.add(segment.id, owner):
                self._save_owners()
            return bool(there.piece_tokens or not segment.piece_tokens)

    def write(
        self,
        segment: Segment,
        owner: str,
        fill: Callable[[memoryview], None],
        chain: Collection[bytes] = (),
    ) -> bool:
        """Write a segment whose state `fill` gives; False where the disk or the budget refuses.

        An unfinished segment that `owner` had in its place is deleted. `chain` are the ids that
        lead to it.
        """
        with self._guard:
            if self._closed:
                return False
            path = self._segments / segment.file_name
            try:
                if not self._fits(segment, chain):
                    return False
                self._owners.add(segment.id, owner)
                self._owners.add_written(segment.file_bytes)
                self._owners.save()  # first: a segment without an owner would be deleted
                write_file(path, segment.encode(self._key, fill))
            except OSError as error:
                self._problem = str(error)
                log.engine.warning("a prompt's segment cannot be written: %s", error)
                return False
            self._problem = ""
            size, now = segment.file_bytes, time.time()
            ids = (segment.root, segment.parent)
            self._files[segment.id] = _File(path, *ids, size, now, segment.checkpoint)
            if not segment.checkpoint:
                self._delete_superseded(segment, owner)
            return True

    def drop(self, segment: Segment, owner: str) -> None:
        """Delete a checkpoint, unless it has another owner too."""
        with self._guard:
            if self._owners.of(segment.id) <= {owner, ""} and segment.id in self._files:
                self._delete(segment.id)

    def _fits(self, segment: Segment, chain: Collection[bytes]) -> bool:
        if shutil.disk_usage(self._folder).free < segment.file_bytes + _LEFT_FREE_BYTES:
            self._problem = tr("the drive is nearly full")
            return False
        self._evict(segment.file_bytes, chain)
        return self._total_bytes() + segment.file_bytes <= self._budget_bytes

    def _evict(self, needed_bytes: int = 0, keep: Collection[bytes] = ()) -> None:
        """Delete what was not used for longest, ends before beginnings, until that much fits."""
        while self._total_bytes() + needed_bytes > self._budget_bytes:
            parents = {file.parent for file in self._files.values()}
            ends = [each for each in self._files if each not in parents and each not in keep]
            ends.sort(key=lambda each: self._files[each].used)
            if not any(self._delete(each) for each in ends):  # one, the first that can be
                return

    def _delete_superseded(self, segment: Segment, owner: str) -> None:
        for sibling in self._children(segment.parent):
            count = len(sibling.tokens)
            shorter = count < len(segment.tokens) and sibling.tokens == segment.tokens[:count]
            if shorter and self._owners.of(sibling.id) <= {owner}:
                self._delete(sibling.id)

    # ---- deleting ---------------------------------------------------------------------------

    def retain_owners(self, owners: Iterable[str]) -> None:
        """Delete every segment without an owner of whom all names are in `owners`."""
        with self._guard:
            if self._closed:
                return
            self._owners.retain(self._files, set(owners))
            for segment in list(self._files):
                if not self._owners.of(segment):
                    self._delete(segment)
            self._delete_orphans()
            self._save_owners()

    def set_budget(self, budget_bytes: int) -> None:
        """Another disk budget; what is too much is evicted now."""
        with self._guard:
            self._budget_bytes = budget_bytes
            self._evict()

    def _delete(self, segment: bytes) -> bool:
        """Delete a segment. A file that stays is counted on, and tried again with the next one."""
        try:
            self._files[segment].path.unlink(missing_ok=True)
        except OSError as error:
            self._problem = str(error)
            log.engine.warning("a prompt's segment cannot be deleted: %s", error)
            return False
        del self._files[segment]
        return True

    def _delete_orphans(self) -> None:
        """Delete the segments whose parent is missing, which no prompt can reach."""
        files, deleted = self._files, 1
        while deleted:
            orphans = [
                segment
                for segment, file in files.items()
                if file.parent != file.root and file.parent not in files
            ]
            deleted = sum(map(self._delete, orphans))

    def _save_owners(self) -> None:
        try:
            self._owners.save()
        except OSError as error:
            self._problem = str(error)
            log.engine.warning("the prompts' owners cannot be written: %s", error)

    # ---- what is there ----------------------------------------------------------------------

    def state(self) -> PromptCacheState:
        with self._guard:
            files = self._files
            return PromptCacheState(
                disk_mib=self._total_bytes() / _MIB,
                budget_mib=self._budget_bytes / _MIB,
                segments=sum(not each.checkpoint for each in files.values()),
                checkpoints_mib=sum(f.nbytes for f in files.values() if f.checkpoint) / _MIB,
                documents_mib={
                    name: sum(files[each].nbytes for each in ids if each in files) / _MIB
                    for name, ids in self._owners.by_document().items()
                },
                written_today_mib=self._owners.written_today / _MIB,
                problem=self._problem,
            )

    def _total_bytes(self) -> int:
        return sum(file.nbytes for file in self._files.values())

    # ---- opening ----------------------------------------------------------------------------

    def _open(self) -> None:
        """Raises OSError."""
        if self._segments.is_symlink():  # nothing is written where it leads
            self._segments.unlink()
        self._segments.mkdir(mode=0o700, exist_ok=True)
        self._key = self._read_key()
        self._owners = SegmentOwners(self._folder / "owners.json")
        self._find_files()
        self._delete_orphans()
        self._evict()
        self._owners.retain(self._files)

    def _read_key(self) -> bytes:
        """The key of the hashes; a new one makes all segments there are unreadable."""
        path = self._folder / "key"
        if path.is_file() and not path.is_symlink():
            key = path.read_bytes()
            if len(key) == KEY_BYTES:
                return key
        key = secrets.token_bytes(KEY_BYTES)
        write_atomically(path, key, private=True)
        for old in self._segments.iterdir():
            old.unlink()
        return key

    def _find_files(self) -> None:
        """Find the segments' files; other versions' and what a crash left behind are deleted."""
        with os.scandir(self._segments) as entries:
            for entry in entries:
                path, ids = Path(entry.path), ids_of(entry.name)
                if not entry.is_file(follow_symlinks=False):
                    if entry.is_symlink():
                        path.unlink()
                    continue
                status = entry.stat(follow_symlinks=False)
                if ids is not None and status.st_size <= self._budget_bytes:
                    root, parent, segment, checkpoint = ids
                    size, used = status.st_size, status.st_mtime
                    self._files[segment] = _File(path, root, parent, size, used, checkpoint)
                elif entry.name.endswith((SUFFIX, CHECKPOINT_SUFFIX, TEMPORARY_SUFFIX)):
                    path.unlink()

"""The profile, and the store in it: conversations on disk. One thread owns it; see `StoreThread`.

Every method either has done its work on disk when it returns, or raises and has done nothing.
What the disk or the system does wrong is raised as a `StoreError`; an unknown id as LookupError.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from r1desk.store.branch_store import BranchStore
from r1desk.store.conversation_store import ConversationStore, KeyValueStore
from r1desk.store.database_opening import open_database
from r1desk.store.errors import (
    ProfileInUse,
    StoreFull,
    StoreReadOnly,
    translated_errors,
    user_error,
)
from r1desk.store.message_store import MessageStore
from r1desk.store.records import Opening, SearchHit
from r1desk.store.search import search

SEARCH_LIMIT = 50


class _Closed(ABC):
    """Closed at the end of a `with`."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Profile(_Closed):
    """An open profile. Close it when the window has let go of the store."""

    folder: Path
    lock: FileLock | None  # None where the folder cannot be written: nothing can collide there

    @property
    def database(self) -> Path:
        """The file with the conversations."""
        return self.folder / "conversations.db"

    @classmethod
    def open(cls, folder: Path) -> Profile:
        """Make the folder if needed, private to the user, and take its lock.

        Raises ProfileInUse if another process (or this one) holds it.
        """
        with translated_errors(folder):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if os.name == "posix" and folder.stat().st_mode & 0o077:
                    folder.chmod(0o700)
                lock = FileLock(folder / "lock", timeout=0, mode=0o600)
                lock.acquire()
            except Timeout as problem:
                raise ProfileInUse(path=str(folder)) from problem
            except OSError as problem:
                if isinstance(user_error(problem, folder), StoreReadOnly) and folder.is_dir():
                    return cls(folder, None)
                raise
        return cls(folder, lock)

    def close(self) -> None:
        """Let other windows have the profile."""
        if self.lock is not None:
            self.lock.release()


class Store(_Closed):
    """Conversations, messages, search and key-value pairs of one profile.

    `conversations`, `messages`, `attachments` and `key_value` share one connection: a
    `transaction` spans them.
    """

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Open the database `path`, made where it is missing.

        A damaged one is set aside and recovered; one that cannot be written is opened view-only.
        `opening` is what happened. Raises StoreNewer, StoreLocked, StoreFull, StoreReadOnly or
        StoreFailed where there is nothing to show. `vfs`: SQLite's name of another file layer.
        """
        opened = open_database(path, vfs=vfs)
        self._db = opened.database
        self._release = opened.release
        self.key_value = KeyValueStore(self._db)
        self.conversations = ConversationStore(self._db, self.key_value)
        self.messages = MessageStore(self._db)
        self.attachments = self.messages.attachments
        self.branches = BranchStore(self._db, self.messages, self.conversations)
        problem = opened.problem
        recovered: tuple[int, ...] = ()
        if problem is None:
            try:
                recovered = self.messages.recover()
            except (StoreFull, StoreReadOnly) as refusal:
                self._db.forbid_writing()
                problem = refusal
            except BaseException:
                self._db.abandon()
                self._release()
                raise
        self.writable = self.messages.writable = problem is None
        self.opening = Opening(
            self.writable, problem, recovered, opened.set_aside, opened.lost_rows
        )

    def transaction(self) -> AbstractContextManager[None]:
        """Several calls as one: all saved or none. May be nested."""
        return self._db.transaction()

    def search(self, query: str, limit: int = SEARCH_LIMIT) -> list[SearchHit]:
        """Conversations outside the trash that contain all words of `query`, the best first."""
        return search(self._db, query, limit)

    def close(self) -> None:
        """Bring everything into one file and let go of it."""
        try:
            self._db.close()
        finally:
            self._release()

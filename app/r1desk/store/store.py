"""The profile, the store in it, which has the conversations on disk, and the store's own thread.

Every method either has done its work on disk when it returns, or raises and has done nothing.
What the disk or the system does wrong is raised as a `StoreError`; an unknown id as LookupError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from deepseek_r1.core import log
from deepseek_r1.core.paths import make_private_dir
from r1desk.store.branch_store import BranchStore
from r1desk.store.conversation_store import ConversationStore, FolderStore, KeyValueStore
from r1desk.store.database_opening import open_database
from r1desk.store.errors import (
    ProfileInUse,
    StoreFull,
    StoreReadOnly,
    translated_errors,
    user_error,
)
from r1desk.store.message_store import MessageStore
from r1desk.store.prompt_store import PromptStore
from r1desk.store.records import SearchHit
from r1desk.store.search import search

SEARCH_LIMIT = 50
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Profile(AbstractContextManager["Profile"]):
    """An open profile. Close it when the window has let go of the store."""

    folder: Path
    lock: FileLock | None  # None where the folder cannot be written: nothing can collide there

    @property
    def database(self) -> Path:
        return self.folder / "conversations.db"

    @classmethod
    def open(cls, folder: Path) -> Profile:
        """Make the folder if needed, private to the user, and take its lock.

        Raises ProfileInUse if another process (or this one) holds it.
        """
        with translated_errors(folder):
            try:
                make_private_dir(folder)
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

    def __exit__(self, *_problem: object) -> None:
        self.close()


class Store(AbstractContextManager["Store"]):
    """Conversations, messages, search and key-value pairs of one profile.

    `conversations`, `folders`, `messages`, `attachments` and `key_value` share one connection: a
    `transaction` spans them.
    """

    def __init__(self, path: Path) -> None:
        """Open the database `path`, made where it is missing.

        A damaged one is set aside and recovered; one that cannot be written is opened view-only.
        `opening` is what happened. Raises StoreNewer, StoreLocked, StoreFull, StoreReadOnly or
        StoreFailed where there is nothing to show.
        """
        self._db, self.opening = open_database(path)
        self.key_value = KeyValueStore(self._db)
        self.conversations = ConversationStore(self._db, self.key_value)
        self.messages = MessageStore(self._db)
        self.attachments = self.messages.attachments
        self.folders = FolderStore(self._db, self.key_value, self.attachments)
        self.prompts = PromptStore(self._db)
        self.branches = BranchStore(self._db, self.messages, self.conversations)
        if self.opening.problem is None:
            try:
                self.opening = replace(self.opening, recovered=self.messages.recover())
            except (StoreFull, StoreReadOnly) as refusal:
                self._db.forbid_writing()
                self.opening = replace(self.opening, problem=refusal)
            except BaseException:
                self._db.abandon()
                raise
        self.writable = self.messages.writable = self.opening.problem is None

    def transaction(self) -> AbstractContextManager[None]:
        """Several calls as one: all saved or none. May be nested."""
        return self._db.transaction()

    def search(self, query: str, limit: int = SEARCH_LIMIT) -> list[SearchHit]:
        """Conversations outside the trash that contain all words of `query`, the best first."""
        return search(self._db, query, limit)

    def close(self) -> None:
        """Bring everything into one file and let go of it."""
        self._db.close()

    def __exit__(self, *_problem: object) -> None:
        self.close()


StoreWork = Callable[[Store], Result]  # is done in the store's thread


class StoreThread:
    """Opens the store of `path` and owns it until `close`.

    `opened` is done when the store is ready. If it never will be, that future and every other one
    fails with the same `StoreError`.
    """

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._store = self._thread.submit(Store, path)
        self.opened = self._thread.submit(lambda: self._store.result().opening)

    def submit(self, work: StoreWork[Result]) -> Future[Result]:
        """Do `work` in the store's thread, in turn. Raises RuntimeError after `close`."""
        return self._thread.submit(self._do, work)

    def _do(self, work: StoreWork[Result]) -> Result:
        try:
            return work(self._store.result())
        except Exception as problem:
            log.store.warning("work for the store failed: %s", type(problem).__name__)
            raise

    def close(self) -> None:
        """Finish what was submitted, close the store and end."""
        self._thread.submit(self._do, Store.close)
        self._thread.shutdown()

"""The store: conversations on disk. One thread owns it; see `StoreThread`.

Every method either has done its work on disk when it returns, or raises and has done nothing.
What the disk or the system does wrong is raised as a `StoreError`; an unknown id as LookupError.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from r1desk.store.branch_store import BranchStore
from r1desk.store.conversation_store import ConversationStore
from r1desk.store.database_opening import open_database
from r1desk.store.errors import StoreFull, StoreReadOnly
from r1desk.store.key_value import KeyValueStore
from r1desk.store.message_store import MessageStore
from r1desk.store.records import Opening, SearchHit
from r1desk.store.search import search

SEARCH_LIMIT = 50


class Store:
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

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole database to the new file `target`."""
        self._db.backup_to(target)

    def close(self) -> None:
        """Bring everything into one file and let go of it."""
        try:
            self._db.close()
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""A profile: the folder with everything of one user, held by one window at a time.

The lock is the system's own (`flock`, `LockFileEx`): it ends with the process that holds it,
however that ends. The file that carries it may stay behind and means nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from r1desk.store.errors import ProfileInUse, StoreReadOnly, translated_errors, user_error


@dataclass(frozen=True, slots=True)
class Profile:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""The lock on a file name in the models' folder, shared by downloads and imports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from deepseek_r1.catalogue.errors import DownloadRunning
from deepseek_r1.catalogue.partial_file import STAGING


@contextlib.contextmanager
def staging_lock(
    folder: Path, file: str, error: type[DownloadRunning] = DownloadRunning
) -> Iterator[None]:
    """Hold the lock on `file` in an existing staging folder. Raises `error` if it is taken."""
    lock = FileLock(folder / STAGING / f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as taken:
        raise error(file=file) from taken
    try:
        yield
    finally:
        if os.name == "posix":  # unlinked while held: another process that has it open notices
            Path(lock.lock_file).unlink(missing_ok=True)  # (Windows: filelock does it)
        lock.release()

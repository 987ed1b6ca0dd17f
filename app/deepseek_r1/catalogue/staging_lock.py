"""The staging folder of downloads and imports, and the lock on a file name in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from deepseek_r1.catalogue.disk_errors import require_present
from deepseek_r1.catalogue.errors import DownloadRunning
from deepseek_r1.catalogue.partial_file import STAGING


def prepare_staging(folder: Path) -> None:
    """Create the staging folder in the models' folder. Raises FolderUnusable, OSError."""
    require_present(folder)
    (folder / STAGING).mkdir(parents=True, exist_ok=True)


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

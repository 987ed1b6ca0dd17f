"""The drive of the models' folder: its room, and its errors as ours."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from deepseek_r1.catalogue.errors import FolderUnusable, NoSpace

RESERVE_BYTES = 64 << 20  # left free


def require_space(file: str, folder: Path, missing_bytes: int) -> None:
    """Raise NoSpace unless `missing_bytes` and the reserve fit on the drive of `folder`."""
    needed, free = missing_bytes + RESERVE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise no_space(file, folder, needed, free)


def no_space(file: str, folder: Path, needed_bytes: int, free_bytes: int) -> NoSpace:
    """The error for a drive that is too full."""
    return NoSpace(
        file=file,
        folder=str(folder),
        needed_mb=ceil(needed_bytes / 1e6),
        free_mb=free_bytes // 1_000_000,
    )


@contextlib.contextmanager
def disk_errors(file: str, folder: Path) -> Iterator[None]:
    """Raise NoSpace or FolderUnusable for what the disk says meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free
            raise no_space(file, folder, RESERVE_BYTES, free) from error
        detail = error.strerror or str(error)
        raise FolderUnusable(file=file, folder=str(folder), detail=detail) from error

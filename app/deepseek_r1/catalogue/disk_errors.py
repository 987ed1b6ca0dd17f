"""Checks the free space of the models' folder and turns the system's errors into ours."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from deepseek_r1.catalogue.errors import FolderFull, FolderUnusable, NoSpace
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import chosen_models_dir

RESERVE_BYTES = 64 << 20  # kept free on the drive
LEAST_FREE_BYTES = 500_000_000  # in a folder that is chosen for models; the smallest take more


def require_space(file: str, folder: Path, missing_bytes: int) -> None:
    """Raise NoSpace unless `missing_bytes` and the reserve fit on the drive of `folder`."""
    needed, free = missing_bytes + RESERVE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise no_space(file, folder, needed, free)


def require_present(folder: Path) -> None:
    """Raise FolderUnusable if the folder that the user chose is not there.

    It would be created on another drive while its own is not connected.
    """
    if folder == chosen_models_dir() and not folder.is_dir():
        detail = tr("it is not there; its drive may not be connected")
        raise FolderUnusable(folder=str(folder), detail=detail)


def require_usable(folder: Path) -> None:
    """Raise FolderUnusable or FolderFull unless models can be downloaded into `folder`.

    A file without a name is written there for a moment. May wait for a slow drive.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
        free = shutil.disk_usage(folder).free
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        detail = getattr(error, "strerror", None) or str(error)
        raise FolderUnusable(folder=str(folder), detail=detail) from error
    if free < LEAST_FREE_BYTES:
        raise FolderFull(folder=str(folder), free_mb=free // 1_000_000)


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
    """Raise NoSpace or FolderUnusable in place of an OSError inside the block."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free
            raise no_space(file, folder, RESERVE_BYTES, free) from error
        detail = error.strerror or str(error)
        raise FolderUnusable(file=file, folder=str(folder), detail=detail) from error

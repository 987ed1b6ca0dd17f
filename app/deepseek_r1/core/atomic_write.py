"""Writes small files atomically: complete and on the disk when a call returns."""

import os
from functools import partial
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace a small file in one step; its data are on the disk first. Raises OSError.

    Other users of the computer cannot read a `private` file.
    """
    fresh = path.with_name(path.name + ".new")
    if private:  # a file left over from a crash may have other permissions
        fresh.unlink(missing_ok=True)
    mode = 0o600 if private else 0o666
    with open(fresh, "wb", opener=partial(os.open, mode=mode)) as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in `folder` durable, where the system supports it. Raises OSError."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

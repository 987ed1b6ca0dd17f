"""Small files and new names that are on the disk when a call returns."""

from __future__ import annotations

import os
from pathlib import Path


def write_safely(path: Path, data: bytes) -> None:
    """Replace a small file in one step, on the disk before it is there. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in `folder` last, where the system can do that. Raises OSError."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

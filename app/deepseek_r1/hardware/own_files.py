"""Drops the page cache of the program's own files: libraries are read ahead, and most is not used.

A control group charges these pages to the process that read them first, also in a container: 20 MiB
and more that no line of a budget includes. On Linux only; elsewhere they are not counted.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_PATH_FIELD = 5  # the fields of a line: addresses, rights, offset, device, inode, path


def drop_own_page_cache() -> None:
    """Drop the pages of our libraries that were read ahead and not used yet.

    Pages that are needed later are read again.
    """
    if sys.platform != "linux":
        return
    for path in _mapped():
        with suppress(OSError):  # replaced or deleted since: there is nothing to drop
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def _mapped() -> set[str]:
    """The regular files that this process has mapped."""
    fields = (line.split(None, _PATH_FIELD) for line in _MAPS.read_text("utf-8").splitlines())
    paths = {each[_PATH_FIELD] for each in fields if len(each) > _PATH_FIELD}
    return {path for path in paths if Path(path).is_file()}

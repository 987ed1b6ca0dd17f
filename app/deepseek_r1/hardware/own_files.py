"""The page cache that a program's own files take: libraries are read ahead, and most is not used.

A control group counts these pages for whoever read them first, in a container as well: 20 MiB and
more that a budget has no line for. Only Linux is asked; elsewhere nobody counts them.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_PATH_FIELD = 5  # of a line: addresses, rights, offset, device, inode, path


def forget_read_ahead() -> None:
    """Let the system drop what it has read of our libraries and nobody looked at yet.

    What is looked at later is read then.
    """
    if sys.platform != "linux":
        return
    for path in _mapped():
        with suppress(OSError):  # replaced or deleted since: nothing of it is in the way
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def _mapped() -> set[str]:
    """Regular files that this process looks into."""
    fields = (line.split(None, _PATH_FIELD) for line in _MAPS.read_text("utf-8").splitlines())
    paths = {each[_PATH_FIELD] for each in fields if len(each) > _PATH_FIELD}
    return {path for path in paths if Path(path).is_file()}

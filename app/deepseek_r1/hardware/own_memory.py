"""Keeps this process's memory out of the swap space, and drops what it does not use. Linux only.

Libraries are read ahead, and most of that is not used. A control group charges these pages to the
process that read them first, also in a container: 20 MiB and more that no line of a budget
includes.
"""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_

_NOW, _LATER, _WHEN_TOUCHED = 1, 2, 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
_PATH_FIELD = 5  # the fields of a line: addresses, rights, offset, device, inode, path


class MemoryNotLocked(R1Error):
    """The system does not let the engine keep its memory."""

    what = N_("The model's memory cannot be pinned.")
    why = N_("{detail}")
    todo = N_("Raise the limit: ulimit -l unlimited, or LimitMEMLOCK=infinity in a service file.")
    exit_code = 2


def lock_memory() -> None:
    """Keep the pages that are in memory, and later ones once they are used.

    Reserved addresses without pages stay without them. Raises MemoryNotLocked.
    """
    if sys.platform != "linux":
        raise MemoryNotLocked(detail="It is possible on Linux only.")
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_NOW | _LATER | _WHEN_TOUCHED):
        raise MemoryNotLocked(detail=os.strerror(ctypes.get_errno()))


def drop_own_page_cache() -> None:
    """Drop the pages of our libraries that were read ahead and not used yet.

    Pages that are needed later are read again. Elsewhere than on Linux they are not counted.
    """
    if sys.platform != "linux":
        return
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    fields = (line.split(None, _PATH_FIELD) for line in lines)
    for path in {each[_PATH_FIELD] for each in fields if len(each) > _PATH_FIELD}:
        if not Path(path).is_file():
            continue
        with suppress(OSError):  # replaced or deleted since: there is nothing to drop
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)

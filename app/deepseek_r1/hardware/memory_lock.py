"""Keeps this process's memory out of the swap space. Linux only."""

from __future__ import annotations

import ctypes
import os
import sys

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import N_

_NOW, _LATER, _WHEN_TOUCHED = 1, 2, 4  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT


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

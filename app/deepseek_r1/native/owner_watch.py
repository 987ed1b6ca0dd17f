"""Lets the system end this process when its owner ends, even by a kill and in the middle of work.

The owner closes a pipe when it ends, and a thread of ours reads from it. But a long call of C that
holds the interpreter's lock keeps that thread waiting, so two means that need no interpreter are
added: the parent-death signal on Linux (the job object on Windows is the owner's, see
`core.windows_job`), and a thread of the native library.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.native.native_library import native

_PR_SET_PDEATHSIG = 1


def end_with_owner(pipe: int, *, thread_lasts: bool = True) -> None:
    """End this process with its parent. `pipe` is the descriptor of the parent's end to read from.

    `thread_lasts`: the parent's thread that started this process lasts as long as the process is
    wanted. Linux sends its signal when that thread ends, so otherwise it is not asked for.
    """
    owner = os.getppid()
    if sys.platform == "linux" and thread_lasts:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
            log.host.warning("no parent-death signal: %s", os.strerror(ctypes.get_errno()))
        if _at_end(pipe):  # the parent ended before the signal was set
            os._exit(0)
    try:
        if native().watch_owner(pipe, owner):
            log.host.warning("the native library does not watch the owner's process")
    except EngineStartFailed as error:
        log.host.warning("the native library does not watch the owner's process: %s", error)


def _at_end(pipe: int) -> bool:
    """Return whether the other end of the pipe is closed and nothing is left to read."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0))

"""Counts the memory of the window's small child processes with the window's own.

The engine's process is not one of them: it has its own line in the memory plan.
"""

import os

from deepseek_r1.memory import meter

_running: set[int] = set()


def add_helper(pid: int) -> None:
    """Count the process from now on."""
    if pid > 0:
        _running.add(pid)


def remove_helper(pid: int) -> None:
    """Count the process no longer."""
    _running.discard(pid)


def window_and_helpers_mib() -> float:
    """Resident memory of this process and its helpers, in MiB. Any thread may ask."""
    return sum(meter.process_mib(pid) for pid in (os.getpid(), *tuple(_running)))

"""Work that may wait, in a Python thread of its own; results come back by signals.

Not Qt's pool: it deletes its runnables in its own threads, and a Python object destroyed there
while the main thread holds Qt's locks, or has moved on, is a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def in_background(work: Callable[[], None]) -> threading.Thread:
    """Run `work` now, in a thread that the process waits for at its end."""
    thread = threading.Thread(target=_run, args=(work,), name="background")
    thread.start()
    return thread


def _run(work: Callable[[], None]) -> None:
    try:
        work()
    except RuntimeError as error:
        if "already deleted" not in str(error):
            raise
        # Whoever asked is gone (a dialog that was closed, say): nobody waits for the result.

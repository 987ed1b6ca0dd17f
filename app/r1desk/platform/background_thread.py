"""Runs work in a Python thread of its own; results come back by signals.

Not Qt's pool: it deletes its runnables in its own threads, and a Python object destroyed there
while the main thread holds Qt's locks, or has moved on, is a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import shiboken6
from PySide6.QtCore import QObject

from deepseek_r1.core import log

_started: list[tuple[threading.Thread, QObject]] = []


def in_background(owner: QObject, work: Callable[[], None]) -> threading.Thread:
    """Run `work` now, in a thread that the process waits for at its end. Main thread only.

    `owner` is the object whose signals `work` emits, best one without a parent. It is held until
    the thread has ended and let go here, in the main thread: the thread's reference may have been
    the last one. Where Qt has deleted it meanwhile, with its parent, the result is dropped.
    """
    _started[:] = [(thread, held) for thread, held in _started if thread.is_alive()]
    thread = threading.Thread(target=_run, args=(owner, work), name="background")
    _started.append((thread, owner))
    thread.start()
    return thread


def _run(owner: QObject, work: Callable[[], None]) -> None:
    try:
        work()
    except RuntimeError as error:
        if shiboken6.isValid(owner):
            raise
        log.window.info("a result came after its receiver had gone: %s", error)

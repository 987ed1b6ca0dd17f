"""Splits long work on the window's thread into turns of the event loop."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from r1desk.platform.tasks import Later


def in_later_turn(owner: QObject, work: Callable[[], object]) -> None:
    """Run `work` in a later turn of the loop, if `owner` still lives: keys and clicks come first.

    With 0 ms Qt would post an event, and handle it before it looks for keys and clicks.
    """
    QTimer.singleShot(1, owner, work)


def later_turn(owner: QObject, after_ms: int = 1) -> Later[None]:
    """The same for a task, which awaits this."""
    later: Later[None] = Later()
    QTimer.singleShot(after_ms, owner, lambda: later.give(None))
    return later

"""Keeps Ctrl-C out of callbacks from C, where Python cannot raise it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed during the block."""

    pressed: bool = False


@contextmanager
def deferred_interrupt(on_press: Callable[[], None] = lambda: None) -> Iterator[Interrupt]:
    """Note Ctrl-C during the block, call `on_press`, and raise KeyboardInterrupt at the end.

    An exception in a callback from C is printed and lost, so a callback has to look at the yielded
    value instead. Only the main thread gets signals: in others, and where a program has its own
    handler, nothing is changed.
    """
    interrupt = Interrupt()
    mine = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not mine:
        yield interrupt
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        interrupt.pressed = True
        on_press()

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupt.pressed:
            raise KeyboardInterrupt

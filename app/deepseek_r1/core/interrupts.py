"""Keeps Ctrl-C out of callbacks from C, where Python cannot raise it, and acts on it meanwhile.

Python runs a signal's handler in the main thread, between two instructions of Python. A computation
in C may take seconds until then, so a thread of its own is told of the signal at once, through the
descriptor of `signal.set_wakeup_fd`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FrameType


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed during the block."""

    pressed: bool = False


@contextmanager
def deferred_interrupt(on_press: Callable[[], None] = lambda: None) -> Iterator[Interrupt]:
    """Note Ctrl-C during the block, call `on_press`, and raise KeyboardInterrupt at the end.

    `on_press` is called at once, while C computes, from another thread; it may be called twice. An
    exception in a callback from C is printed and lost, so a callback has to look at the yielded
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
        with _watcher().watching(on_press):
            yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupt.pressed:
            raise KeyboardInterrupt


class _Watcher:
    """Calls a function when SIGINT arrives, from a thread of its own. For the main thread."""

    def __init__(self) -> None:
        self._received, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        self._lock = threading.Lock()
        self._on_press: Callable[[], None] | None = None
        self._others = -1  # the descriptor of an event loop that wants to be told, too
        threading.Thread(target=self._watch, name="interrupts", daemon=True).start()

    @contextmanager
    def watching(self, on_press: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._on_press = on_press
        self._others = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(self._others)
            with self._lock:
                self._on_press = None

    def _watch(self) -> None:
        while numbers := self._received.recv(64):
            with self._lock:
                if self._on_press is not None and signal.SIGINT in numbers:
                    self._on_press()
            if self._others >= 0:
                _hand_on(self._others, numbers)


def _hand_on(descriptor: int, numbers: bytes) -> None:
    """Tell an event loop of signals. One that is closed or has enough to read needs no more."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":  # where it is a socket, which has no other functions
            loop = socket.socket(fileno=descriptor)
            try:
                loop.send(numbers)
            finally:
                loop.detach()
        else:
            os.write(descriptor, numbers)


@cache
def _watcher() -> _Watcher:
    return _Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watcher.cache_clear)  # its thread is not copied

"""Defers Ctrl-C while C code runs, and tells that code of it at once.

Python cannot raise an exception in a callback from C: it is printed and lost. It runs a signal's
handler in the main thread, between two instructions of Python. A computation in C may take seconds
until then, so a thread of its own is told of the signal at once, through the descriptor of
`signal.set_wakeup_fd`.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FrameType

_DRAIN = b"\0"  # no signal has this number
_DRAIN_S = 5.0  # for the thread to have read it, on a very busy machine


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
    default_handler = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not default_handler:
        yield interrupt
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        interrupt.pressed = True
        on_press()

    signal.signal(signal.SIGINT, note)
    try:
        with _watcher().watching(interrupt, on_press):
            yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupt.pressed:
            raise KeyboardInterrupt


class _SignalWatcher:
    """Calls a function when SIGINT arrives, from a thread of its own. For the main thread."""

    def __init__(self) -> None:
        self._received, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        self._lock = threading.Lock()
        self._drained = threading.Event()
        self._on_press: Callable[[], None] | None = None
        threading.Thread(target=self._watch, name="interrupts", daemon=True).start()

    @contextmanager
    def watching(self, interrupt: Interrupt, on_press: Callable[[], None]) -> Iterator[None]:
        previous_fd = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        if previous_fd >= 0:  # an event loop's stays: it has to be told of its own signals
            signal.set_wakeup_fd(previous_fd)
            yield
            return
        with self._lock:
            self._on_press = on_press
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            with self._lock:
                self._on_press = None
            if interrupt.pressed:  # else its number could be read in the next block
                self._drained.clear()
                self._wakeup.send(_DRAIN)
                self._drained.wait(_DRAIN_S)

    def _watch(self) -> None:
        while received := self._received.recv(64):
            with self._lock:
                if self._on_press is not None and signal.SIGINT in received:
                    self._on_press()
            if _DRAIN in received:
                self._drained.set()


@cache
def _watcher() -> _SignalWatcher:
    return _SignalWatcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watcher.cache_clear)  # its thread is not copied

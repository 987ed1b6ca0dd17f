"""Allows one answer at a time, and short work between two answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from deepseek_r1.core.errors import EngineBusy


class GenerationLock:
    """Safe from any thread. With `queue`, callers wait for their turn, in the order they came."""

    def __init__(self, *, queue: bool = False) -> None:
        self.queues = queue
        self._changed = threading.Condition()
        self._owner: int | None = None  # the thread whose answer is generated
        self._idle_work = False
        self._waiting: deque[object] = deque()

    def locked(self) -> bool:
        """Return whether an answer is being generated."""
        return self._owner is not None

    def held_here(self) -> bool:
        """Return whether this thread's answer is being generated."""
        return self._owner == threading.get_ident()

    def require_free(self) -> None:
        """Wait for work between answers. Raises EngineBusy during an answer."""
        with self._changed:
            self._changed.wait_for(lambda: not self._idle_work)
            if self.locked():
                raise EngineBusy

    @contextmanager
    def generating(self) -> Iterator[None]:
        """Hold the lock for an answer.

        Raises EngineBusy during another one, and in a queue during one of the same thread.
        """
        with self._changed:
            self._wait_for_turn()
            self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._release()

    def _wait_for_turn(self) -> None:
        if not self.queues:
            self._changed.wait_for(lambda: not self._idle_work)
            if self.locked():
                raise EngineBusy
            return
        if self.held_here():  # it would wait for itself
            raise EngineBusy
        ticket = object()
        self._waiting.append(ticket)
        try:
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and not self._idle_work and not self.locked()
            )
        finally:
            self._waiting.remove(ticket)
            self._changed.notify_all()

    @contextmanager
    def closing(self, wait_s: float) -> Iterator[None]:
        """Hold the lock to close. Raises EngineBusy if an answer runs beyond `wait_s`."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: not self._idle_work and not self.locked(), wait_s
            ):
                raise EngineBusy
            self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def idle(self) -> Iterator[bool]:
        """Yield whether nothing is computed; then no answer begins during the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._idle_work)
            free = self._idle_work = not self.locked()
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._idle_work = False
                    self._changed.notify_all()

    def _release(self) -> None:
        with self._changed:
            self._owner = None
            self._changed.notify_all()

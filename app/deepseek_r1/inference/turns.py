"""Whose turn it is: one answer at a time, and short work between two answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepseek_r1.core.errors import EngineBusy


class Turns:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._answering = threading.Lock()
        self._between = threading.Lock()  # held for moments only, and before `_answering`

    def taken(self) -> bool:
        """An answer is being written."""
        return self._answering.locked()

    def require_free(self) -> None:
        """Raises EngineBusy while an answer is being written; waits for work between answers."""
        with self._between:
            if self.taken():
                raise EngineBusy

    @contextmanager
    def answering(self) -> Iterator[None]:
        """An answer is written. Raises EngineBusy where another one is."""
        with self._between:
            if not self._answering.acquire(blocking=False):
                raise EngineBusy
        try:
            yield
        finally:
            self._answering.release()

    @contextmanager
    def ending(self, wait_s: float) -> Iterator[None]:
        """The last turn. Raises EngineBusy where an answer does not end within `wait_s`."""
        with self._between:
            if not self._answering.acquire(timeout=wait_s):
                raise EngineBusy
        try:
            yield
        finally:
            self._answering.release()

    @contextmanager
    def between(self) -> Iterator[bool]:
        """Short work while nothing is computed; False, and nothing is held up, in an answer."""
        with self._between:
            free = self._answering.acquire(blocking=False)
            try:
                yield free
            finally:
                if free:
                    self._answering.release()

"""Long work on the window's thread in slices too short to be felt.

A second Python thread would not help: each of the many Qt calls of the window gives up the
interpreter's lock and may wait 5 ms to get it back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from PySide6.QtCore import QObject, QTimer, Slot
from shiboken6 import isValid

SLICE_S = 0.006


class Slicer(QObject):
    """Runs generators a few steps at a time, in the order they came. Each step must be short."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._queue: deque[tuple[QObject, Iterator[None]]] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def busy(self) -> bool:
        """True while there is work left."""
        return bool(self._queue)

    def add(self, owner: QObject, work: Iterator[None], *, urgent: bool = False) -> None:
        """Run `work` as long as `owner` lives; urgent work goes first."""
        if urgent:
            self._queue.appendleft((owner, work))
        else:
            self._queue.append((owner, work))
        self._timer.start()

    @Slot()
    def _on_timeout(self) -> None:
        deadline = time.perf_counter() + SLICE_S
        while self._queue and time.perf_counter() < deadline:
            owner, work = self._queue[0]
            if isValid(owner) and self._step(work):
                continue
            # The work itself may have put urgent work in front.
            self._queue = deque(entry for entry in self._queue if entry[1] is not work)
        if not self._queue:
            self._timer.stop()

    @staticmethod
    def _step(work: Iterator[None]) -> bool:
        try:
            next(work)
        except StopIteration:
            return False
        return True

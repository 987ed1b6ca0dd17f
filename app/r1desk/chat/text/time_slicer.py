"""Long work on the window's thread in slices too short to be felt, and draws no more than it can.

A second Python thread would not help: each of the many Qt calls of the window gives up the
interpreter's lock and may wait 5 ms to get it back.
"""

import time
from collections import deque
from collections.abc import Iterator

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from shiboken6 import isValid

SLICE_S = 0.006
FASTEST_MS = 50
SLOWEST_MS = 200  # still reads as flowing text
SHARE = 0.02  # of one core: on a small machine the engine computes on every core

_OVER = object()


class Slicer(QObject):
    """Runs generators a few steps at a time, in the order they came. Each step must be short."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._queue: deque[tuple[QObject, Iterator[None]]] = deque()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def busy(self) -> bool:
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
            if isValid(owner) and next(work, _OVER) is None:
                continue
            # The work itself may have put urgent work in front.
            self._queue = deque(entry for entry in self._queue if entry[1] is not work)
        if not self._queue:
            self._timer.stop()


class DrawThrottle(QObject):
    """Fires `due` while there is something to draw, so that drawing takes `SHARE` of a core.

    A draw ends when Qt has painted what it changed, so the cost of painting counts. It is the
    processor time of this thread: being kept waiting by others does not slow the text down.
    """

    due = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._started: float | None = None
        self._timer = QTimer(self, interval=FASTEST_MS)
        self._timer.timeout.connect(self._on_timeout)

    def start(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    @Slot()
    def _on_timeout(self) -> None:
        self._started = time.thread_time()
        self.due.emit()
        QTimer.singleShot(0, self, self._on_painted)  # after the paint events of this draw

    @Slot()
    def _on_painted(self) -> None:
        if self._started is None:
            return
        cost_ms = (time.thread_time() - self._started) * 1000
        self._started = None
        wanted = min(max(cost_ms / SHARE, FASTEST_MS), SLOWEST_MS)
        self._timer.setInterval(round((3 * self._timer.interval() + wanted) / 4))

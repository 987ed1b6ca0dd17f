"""Limits how often an answer is drawn while it grows, by what drawing costs."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

FASTEST_MS = 50
SLOWEST_MS = 200  # still reads as flowing text
SHARE = 0.02  # of one core: on a small machine the engine computes on every core


class DrawThrottle(QObject):
    """Fires `due` while there is something to draw, so that drawing takes `SHARE` of a core.

    A draw ends when Qt has painted what it changed, so the cost of painting counts. It is the
    processor time of this thread: being kept waiting by others does not slow the text down.
    """

    due = Signal()

    def __init__(self, parent: QObject, clock: Callable[[], float] = time.thread_time) -> None:
        super().__init__(parent)
        self._clock = clock
        self._started: float | None = None
        self._timer = QTimer(self, interval=FASTEST_MS)
        self._timer.timeout.connect(self._on_timeout)

    @property
    def interval_ms(self) -> int:
        """Between two draws, at present."""
        return self._timer.interval()

    @property
    def active(self) -> bool:
        """True while `due` is still to come."""
        return self._timer.isActive()

    def start(self) -> None:
        """There is something to draw."""
        if not self._timer.isActive():
            self._timer.start()

    def stop(self) -> None:
        """Nothing is left to draw."""
        self._timer.stop()

    @Slot()
    def _on_timeout(self) -> None:
        self._started = self._clock()
        self.due.emit()
        QTimer.singleShot(0, self, self._on_painted)  # after the paint events of this draw

    @Slot()
    def _on_painted(self) -> None:
        if self._started is None:
            return
        cost_ms = (self._clock() - self._started) * 1000
        self._started = None
        wanted = min(max(cost_ms / SHARE, FASTEST_MS), SLOWEST_MS)
        self._timer.setInterval(round((3 * self._timer.interval() + wanted) / 4))

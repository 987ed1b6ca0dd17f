"""How long the window kept its event loop: the longest gap between two ticks of a fast timer.

Time in which the thread waited for a processor is not counted.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer


def processor_wait_s() -> float:
    """Seconds that the calling thread has waited in the scheduler's queue; 0 if not counted.

    A test of a thread's promptness subtracts what is added meanwhile: on a shared machine, of a gap
    of 333 ms in the main thread 7 ms were its own work and 323 ms were waits.
    """
    try:  # proc(5): the time on a processor, the time in the queue, the number of turns
        counters = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except FileNotFoundError:
        return 0.0
    return int(counters.split()[1]) / 1e9


TICK_MS = 5
STALL_LIMIT_MS = 200


class StallMeter(QObject):
    """Ticks in the main thread; `worst_s` is the longest gap, waits for a processor taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.worst_s = 0.0
        self._last = time.monotonic()
        self._waited_s = processor_wait_s()
        self._timer = QTimer(self, interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._on_tick)
        self._timer.start()

    def _on_tick(self) -> None:
        now, waited_s = time.monotonic(), processor_wait_s()
        self.worst_s = max(self.worst_s, now - self._last - (waited_s - self._waited_s))
        self._last, self._waited_s = now, waited_s

    def stop(self) -> None:
        """A gap that is still open counts too."""
        self._on_tick()
        self._timer.stop()


@contextmanager
def answering_window() -> Iterator[None]:
    """Fails where the window kept its event loop for longer than `STALL_LIMIT_MS`."""
    meter = StallMeter()
    yield
    meter.stop()
    worst_ms = meter.worst_s * 1000
    assert worst_ms < STALL_LIMIT_MS, f"the window stood still for {worst_ms:.0f} ms"

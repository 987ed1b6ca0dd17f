"""Keeps Python's cycle collector in the main thread.

The collector runs in whichever thread happens to allocate. In the store's or the sampler's thread
it would destroy widgets there, which Qt forbids: a destructor that waits for the interpreter while
the main thread waits for Qt's lock stops the window for good.
"""

import gc

from PySide6.QtCore import QObject, Qt, QTimer, Slot

CHECK_MS = 2000


class MainThreadCollector(QObject):
    """Collects cycles in the main thread, at most once in two seconds, while it exists."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=CHECK_MS, timerType=Qt.TimerType.CoarseTimer)
        self._timer.timeout.connect(self._on_check)
        self._timer.start()

    def close(self) -> None:
        """Leave collecting to Python again, when no other thread touches Qt any more."""
        self._timer.stop()
        gc.collect()
        gc.enable()

    @Slot()
    def _on_check(self) -> None:
        for generation in (2, 1, 0):
            if gc.get_count()[generation] > gc.get_threshold()[generation]:
                gc.collect(generation)
                return

"""Measures away from the GUI thread: every second while the engine works, every five otherwise."""

from __future__ import annotations

import os
import threading
from functools import partial

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication

from deepseek_r1.memory import meter
from r1desk.background import in_background
from r1desk.performance.vitals import Reading

ACTIVE_MS = 1000
IDLE_MS = 5000


class VitalsSampler(QObject):
    """Owns the clock (GUI thread) and a thread that reads the system.

    While every window is minimised nothing is measured.

    Signals:
        sampled: a `Reading`, in the thread that owns this object.
    """

    sampled = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine_pid = 0
        self._measuring: threading.Thread | None = None
        self._probe = _Probe()
        self._probe.measured.connect(self._on_measured, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.setInterval(IDLE_MS)
        self._timer.timeout.connect(self._on_tick)

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two measurements at present."""
        return self._timer.interval()

    def start(self) -> None:
        """Measure now and from now on."""
        self._timer.start()
        self._on_tick()

    def stop(self) -> None:
        """Measure no more; waits for a measurement under way."""
        self._timer.stop()
        if self._measuring is not None:
            self._measuring.join()

    def set_active(self, active: bool) -> None:
        """Measure every second (the engine works) or every five."""
        interval = ACTIVE_MS if active else IDLE_MS
        if interval == self._timer.interval():
            return
        self._timer.setInterval(interval)
        if self._timer.isActive() and not active:  # work begins without being measured
            self._on_tick()

    def set_engine_pid(self, pid: int | None) -> None:
        """Which process the engine is; None or 0 for none."""
        self._engine_pid = pid or 0

    @Slot()
    def _on_tick(self) -> None:
        if (self._measuring is not None and self._measuring.is_alive()) or _all_minimised():
            return
        self._measuring = in_background(self._probe, partial(self._probe.measure, self._engine_pid))

    @Slot(object)
    def _on_measured(self, reading: Reading) -> None:
        if self._timer.isActive():
            self.sampled.emit(reading)


def _all_minimised() -> bool:
    kinds = (Qt.WindowType.Window, Qt.WindowType.Dialog)
    shown = [w for w in QGuiApplication.topLevelWindows() if w.isVisible() and w.type() in kinds]
    return bool(shown) and all(w.windowStates() & Qt.WindowState.WindowMinimized for w in shown)


class _Probe(QObject):
    """Reads the system; `measure` runs in a thread of its own, one at a time."""

    measured = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._before = meter.cpu_times()

    def measure(self, engine_pid: int) -> None:
        now = meter.cpu_times()
        cores = now.load_since(self._before)
        self._before = now
        machine = meter.machine_memory()
        self.measured.emit(
            Reading(
                window_mib=meter.process_mib(os.getpid()),
                engine_mib=meter.process_mib(engine_pid) if engine_pid else 0.0,
                machine_used_mib=machine.used_mib,
                machine_total_mib=machine.total_mib,
                cores=cores,
            )
        )

"""Measures memory and processor load in a thread of its own.

Every second while the engine works, every five seconds otherwise.
"""

from __future__ import annotations

import threading
from functools import partial

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QGuiApplication

from deepseek_r1.host.protocol import Heartbeat
from deepseek_r1.host.supervisor_events import EngineState
from deepseek_r1.memory import meter
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.performance.readings import ResourceSample
from r1desk.platform.background_thread import in_background
from r1desk.platform.helper_processes import window_and_helpers_mib

ACTIVE_MS = 1000
IDLE_MS = 5000
_AT_WORK = (EngineState.STARTING, EngineState.LOADING, EngineState.GENERATING)


class ResourceSampler(QObject):
    """Owns the timer (GUI thread) and a thread that reads the system.

    While every window is minimised nothing is measured.

    Signals:
        sampled: a `ResourceSample`, in the thread that owns this object.
    """

    sampled = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine: EngineBridge | None = None
        self._engine_pid = 0
        self._helper_mib = 0.0  # of the engine's own child process
        self._measuring: threading.Thread | None = None
        self._reader = _SystemReader()
        self._reader.measured.connect(self._on_measured, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.setInterval(IDLE_MS)
        self._timer.timeout.connect(self._on_tick)

    def follow(self, engine: EngineBridge) -> None:
        """Measure this engine's process, more often while it works."""
        self._engine = engine
        engine.heartbeat.connect(self._on_beat)
        engine.state_changed.connect(self._on_state)

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
        if self._timer.isActive() and not active:  # a measurement would delay the start of the work
            self._on_tick()

    def set_engine_pid(self, pid: int | None) -> None:
        """Measure this process as the engine; None or 0 for none."""
        self._engine_pid = pid or 0

    @Slot(object)
    def _on_beat(self, beat: object) -> None:
        self._helper_mib = beat.helper_mib if isinstance(beat, Heartbeat) else 0.0
        self.set_engine_pid(self._engine.engine_pid if self._engine is not None else 0)

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        self.set_active(state in _AT_WORK)

    @Slot()
    def _on_tick(self) -> None:
        if (self._measuring is not None and self._measuring.is_alive()) or _all_minimised():
            return
        self._measuring = in_background(
            self._reader, partial(self._reader.measure, self._engine_pid, self._helper_mib)
        )

    @Slot(object)
    def _on_measured(self, sample: ResourceSample) -> None:
        if self._timer.isActive():
            self.sampled.emit(sample)


def _all_minimised() -> bool:
    kinds = (Qt.WindowType.Window, Qt.WindowType.Dialog)
    shown = [w for w in QGuiApplication.topLevelWindows() if w.isVisible() and w.type() in kinds]
    return bool(shown) and all(w.windowStates() & Qt.WindowState.WindowMinimized for w in shown)


class _SystemReader(QObject):
    """Reads the system; `measure` runs in a thread of its own, one at a time."""

    measured = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._before = meter.cpu_times()

    def measure(self, engine_pid: int, helper_mib: float) -> None:
        now = meter.cpu_times()
        cores = now.load_since(self._before)
        self._before = now
        machine = meter.machine_memory()
        self.measured.emit(
            ResourceSample(
                window_mib=window_and_helpers_mib(),
                engine_mib=meter.process_mib(engine_pid) + helper_mib if engine_pid else 0.0,
                machine_used_mib=machine.used_mib,
                machine_total_mib=machine.total_mib,
                cores=cores,
            )
        )

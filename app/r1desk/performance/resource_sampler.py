"""Measures memory and processor load, and keeps the whole application within its budget."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.host.protocol import EngineState, Heartbeat
from deepseek_r1.memory import meter
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.models.controller import ModelController
from r1desk.performance.readings import ResourceSample
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.platform.tasks import Tasks, task

ACTIVE_MS = 1000
IDLE_MS = 5000
AT_WORK = (EngineState.STARTING, EngineState.LOADING, EngineState.GENERATING)

LASTING_S = 3.0
SETTLING_S = 10.0  # a pass of a large model, after which fewer weights are in memory
MARGIN_MIB = 4.0  # added to the excess, so that the next icon does not start it again


class BudgetGuard(QObject):
    """Moves weights out of memory while the application uses more than its budget.

    Lives as long as the application, in the main thread, and knows no widget.
    """

    def __init__(
        self,
        engine: EngineBridge,
        models: ModelController,
        sampler: ResourceSampler,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine, self._models = engine, models
        self.sampler = sampler
        self.beat: Heartbeat | None = None  # the last one
        self._draft_released = False  # by the last heartbeat
        self._overrun = OverrunDetector()
        engine.heartbeat.connect(self._on_beat)
        sampler.sampled.connect(self._on_sampled)

    @property
    def budget_mib(self) -> float:
        """The budget in force; while the machine is short of memory, less than the user's."""
        loaded, memory = self._models.current, self.beat.memory if self.beat else None
        if self._engine.comparison is not None:
            return self._engine.comparison.memory_budget
        if loaded is None:
            return 0.0
        most = loaded.bill.budget_mib
        return min(memory.budget_mib, most) if memory is not None and memory.short else most

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        self.beat = beat
        released = beat.memory is not None and beat.memory.draft_released
        if released and not self._draft_released:
            self._models.live.grow_window_share(0.0)  # the new bill has no draft model
        self._draft_released = released

    @Slot(object)
    def _on_sampled(self, sample: ResourceSample) -> None:
        memory = self.beat.memory if self.beat else None
        if self._models.current is None or (memory is not None and memory.short):
            return  # while the machine is short, the engine moves the weights by itself
        more_mib = self._overrun.observe(sample.app_mib, self.budget_mib, time.monotonic())
        if more_mib:
            self._models.live.grow_window_share(more_mib)


class OverrunDetector:
    """Decides from one sample after the other whether an excess lasts."""

    def __init__(self) -> None:
        self._since_s: float | None = None  # over the budget since then
        self._quiet_until_s = 0.0

    def observe(self, app_mib: float, budget_mib: float, at_s: float) -> float:
        """Return the MiB by which the window's share of the budget is too small, or 0."""
        excess_mib = app_mib - budget_mib
        if excess_mib <= 0 or at_s < self._quiet_until_s:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = at_s
        if at_s - self._since_s < LASTING_S:
            return 0.0
        self._since_s, self._quiet_until_s = None, at_s + SETTLING_S
        return excess_mib + MARGIN_MIB


class ResourceSampler(QObject):
    """Measures in a thread: every second while the engine works, else every five."""

    sampled = Signal(object)  # a `ResourceSample`, in the thread that owns this object

    def __init__(self, engine: EngineBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._helper_mib = 0.0  # of the engine's own child process
        self.tasks = Tasks(self)
        self._measuring = False
        self.last: ResourceSample | None = None
        self._before = meter.cpu_times()
        self._timer = QTimer(self, interval=IDLE_MS, timerType=Qt.TimerType.CoarseTimer)
        self._timer.timeout.connect(self._on_tick)
        engine.heartbeat.connect(self._on_beat)
        engine.state_changed.connect(self._on_state)

    def start(self) -> None:
        """Measure now and from now on."""
        self._timer.start()
        self._on_tick()

    def stop(self) -> None:
        """Measure no more."""
        self._timer.stop()

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        self._helper_mib = beat.helper_mib

    @Slot()
    def _on_state(self) -> None:
        active = self._engine.state in AT_WORK or self._engine.comparison is not None
        interval = ACTIVE_MS if active else IDLE_MS
        if interval == self._timer.interval():
            return
        self._timer.setInterval(interval)
        if self._timer.isActive() and not active:  # a measurement would delay the start of the work
            self._on_tick()

    @task
    async def _on_tick(self) -> None:
        if self._measuring:
            return
        self._measuring = True
        others = self._engine.comparison
        more_mib = self._helper_mib + (others.memory_mib if others is not None else 0.0)
        pid, before = self._engine.engine_pid, self._before
        try:
            self.last, self._before = await ask_in_background(_measure, before, pid, more_mib)
        finally:
            self._measuring = False
        if self._timer.isActive():
            self.sampled.emit(self.last)


def _measure(
    before: meter.CpuTimes, engine_pid: int, others_mib: float
) -> tuple[ResourceSample, meter.CpuTimes]:
    now, machine = meter.cpu_times(), memory_reading()
    sample = ResourceSample(
        window_mib=window_and_helpers_mib(),
        engine_mib=(meter.process_mib(engine_pid) if engine_pid else 0.0) + others_mib,
        machine_used_mib=machine.total_mib - machine.available_mib,
        machine_total_mib=machine.total_mib,
        cores=now.load_since(before),
    )
    return sample, now

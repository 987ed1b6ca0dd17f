"""Keeps the whole application within its budget after the load.

The bill is made when a model is loaded, with the memory that the window uses then. The window
grows afterwards, with what it shows. A model that runs from the disk fills all of its own part of
the budget, so it must give some back. A peak of a moment, such as measuring the drive, is no reason
to move weights.
"""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Slot

from deepseek_r1.core.events import MemoryState
from deepseek_r1.host.protocol import Heartbeat
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.models.controller import ModelController
from r1desk.performance.readings import ResourceSample
from r1desk.performance.resource_sampler import ResourceSampler

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
        self._models = models
        self._memory: MemoryState | None = None
        self._draft_released = False  # by the last heartbeat
        self._overrun = OverrunDetector()
        engine.heartbeat.connect(self._on_beat)
        sampler.sampled.connect(self._on_sampled)

    @property
    def budget_mib(self) -> float:
        """The budget in force; while the machine is short of memory, less than the user's."""
        loaded, memory = self._models.current, self._memory
        if loaded is None:
            return 0.0
        most = loaded.bill.budget_mib
        return min(memory.budget_mib, most) if memory is not None and memory.short else most

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        self._memory = beat.memory
        released = beat.memory is not None and beat.memory.draft_released
        if released and not self._draft_released:
            self._models.grow_window_share(0.0)  # the new bill has no draft model
        self._draft_released = released

    @Slot(object)
    def _on_sampled(self, sample: ResourceSample) -> None:
        if self._models.current is None or (self._memory is not None and self._memory.short):
            return  # while the machine is short, the engine moves the weights by itself
        more_mib = self._overrun.observe(sample.app_mib, self.budget_mib, time.monotonic())
        if more_mib:
            self._models.grow_window_share(more_mib)


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

"""Watches the machine's memory pressure and limits a model as the governor decides."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading
from deepseek_r1.memory.governor import Allowance, MemoryGovernor, MemoryLimits

WORKING_INTERVAL_S = 0.5
IDLE_INTERVAL_S = 3.0  # a reading costs a millisecond and a half


class LimitedModel(Protocol):
    """A model whose memory can be limited: `CPUInference`."""

    @property
    def wanted(self) -> MemoryLimits:
        """The memory that the user allows."""
        ...

    def hold(self, allowance: Allowance) -> None:
        """Apply the governor's limits."""
        ...


class PressureMonitor:
    """Runs one thread for one model until it is stopped or the model is gone.

    It keeps no model alive.
    """

    def __init__(
        self,
        model: LimitedModel,
        on_change: Callable[[], None],
        working: Callable[[], bool],
        read: Callable[[], MemoryReading] = memory_reading,
    ) -> None:
        """`on_change` is called in the monitor's thread after the model's limits changed.

        `working` returns whether something is computed, so that memory may run short quickly.
        """
        self._model = weakref.ref(model)
        self._on_change, self._working, self._read = on_change, working, read
        self._wanted = model.wanted
        self._governor = MemoryGovernor(self._wanted)
        self._limit = self._governor.allowance
        self._checking = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="pressure-monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop. The model is not changed after this returns.

        May be called from any thread, and more than once.
        """
        self._stopped.set()
        with self._checking:
            pass

    def check(self, now_s: float) -> None:
        """Read the pressure once and apply what the governor decides."""
        with self._checking:
            model = self._model()
            changed = model is not None and not self._stopped.is_set() and self._apply(model, now_s)
        if changed:
            self._on_change()

    def _apply(self, model: LimitedModel, now_s: float) -> bool:
        """Apply the governor's limits to the model; True where they changed."""
        wanted = model.wanted
        if wanted != self._wanted:
            self._wanted, self._limit = wanted, self._governor.set_limits(wanted)
        allowed = self._governor.decide(self._read(), now_s)
        if allowed == self._limit:
            return False
        log.engine.info("memory: %s", allowed)
        try:
            model.hold(allowed)
        except R1Error as error:  # the model cannot run with less, so it keeps its memory
            log.engine.warning("memory could not be freed: %s", error)
        self._limit = allowed
        return True

    def _run(self) -> None:
        last_error = ""
        while self._model() is not None and not self._stopped.is_set():
            try:
                self.check(time.monotonic())
            except Exception as error:  # noqa: BLE001 - logged, and the next check may succeed
                if repr(error) != last_error:
                    log.engine.exception("memory pressure could not be checked; it is tried again")
                last_error = repr(error)
            self._stopped.wait(WORKING_INTERVAL_S if self._working() else IDLE_INTERVAL_S)

"""Reads how short of memory the machine is, asks the governor, and has the model keep to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading
from deepseek_r1.memory.governor import Allowance, MemoryGovernor, Wanted

WORKING_S = 0.5
RESTING_S = 2.0


class Held(Protocol):
    """A model that can keep to an allowance: `CPUInference`."""

    @property
    def wanted(self) -> Wanted:
        """What the user allows."""
        ...

    def hold(self, allowance: Allowance) -> None:
        """Keep to an allowance."""
        ...


class MemoryKeeper:
    """One thread, asleep while no model is there."""

    def __init__(
        self,
        on_change: Callable[[], None],
        working: Callable[[], bool] = lambda: True,
        read: Callable[[], MemoryReading] = memory_reading,
    ) -> None:
        """`on_change` hears, in the keeper's thread, that the model was held to something else.

        `working`: something is being computed, so memory may run short quickly.
        """
        self._on_change, self._working, self._read = on_change, working, read
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._model: Held | None = None
        self._governor: MemoryGovernor | None = None
        self._wanted: Wanted | None = None

    def start(self) -> None:
        """Keep whatever is attached from now on."""
        threading.Thread(target=self._run, name="memory-keeper", daemon=True).start()

    def attach(self, model: Held) -> None:
        """This model is to be kept; it wants all it was loaded with."""
        with self._lock:
            self._model, self._wanted = model, model.wanted
            self._governor = MemoryGovernor(self._wanted)
        self._arrived.set()

    def detach(self) -> None:
        """No model any more. When this returns, the one before is not touched again."""
        with self._lock:
            self._model = self._governor = None
        self._arrived.clear()

    def look(self, now_s: float) -> None:
        """One reading and what follows from it."""
        with self._lock:
            model, governor = self._model, self._governor
            if model is None or governor is None:
                return
            wanted = model.wanted
            if wanted != self._wanted:
                self._wanted = wanted
                governor.want(wanted)
            before, allowed = governor.allowance, governor.decide(self._read(), now_s)
            if allowed == before:
                return
            log.engine.info("memory: %s", allowed)
            try:
                model.hold(allowed)
            except R1Error as error:  # the model cannot do with less: it keeps what it has
                log.engine.warning("memory could not be given back: %s", error)
        self._on_change()

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            self.look(time.monotonic())
            time.sleep(WORKING_S if self._working() else RESTING_S)

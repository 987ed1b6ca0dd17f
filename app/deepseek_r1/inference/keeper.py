"""Reads how short of memory the machine is, asks the governor, and has a model keep to it."""

from __future__ import annotations

import threading
import time
import weakref
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
    """One thread for one model, until it is stopped or the model is gone: it keeps none alive."""

    def __init__(
        self,
        model: Held,
        on_change: Callable[[], None],
        working: Callable[[], bool],
        read: Callable[[], MemoryReading] = memory_reading,
    ) -> None:
        """`on_change` hears, in the keeper's thread, that the model was held to something else.

        `working`: something is being computed, so memory may run short quickly.
        """
        self._model = weakref.ref(model)
        self._on_change, self._working, self._read = on_change, working, read
        self._wanted = model.wanted
        self._governor = MemoryGovernor(self._wanted)
        self._held = self._governor.allowance
        self._looking = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Keep the model from now on."""
        threading.Thread(target=self._run, name="memory-keeper", daemon=True).start()

    def stop(self) -> None:
        """When this returns, the model is not touched again. Any thread, any number of times."""
        self._stopped.set()
        with self._looking:
            pass

    def look(self, now_s: float) -> None:
        """One reading and what follows from it."""
        with self._looking:
            model = self._model()
            changed = model is not None and not self._stopped.is_set() and self._keep(model, now_s)
        if changed:
            self._on_change()

    def _keep(self, model: Held, now_s: float) -> bool:
        """Have the model keep to what may be used now; True where that is something else."""
        wanted = model.wanted
        if wanted != self._wanted:
            self._wanted, self._held = wanted, self._governor.want(wanted)
        allowed = self._governor.decide(self._read(), now_s)
        if allowed == self._held:
            return False
        log.engine.info("memory: %s", allowed)
        try:
            model.hold(allowed)
        except R1Error as error:  # the model cannot do with less: it keeps what it has
            log.engine.warning("memory could not be given back: %s", error)
        self._held = allowed
        return True

    def _run(self) -> None:
        told = ""
        while self._model() is not None and not self._stopped.is_set():
            try:
                self.look(time.monotonic())
            except Exception as error:  # noqa: BLE001 - told, and the next look may succeed
                if repr(error) != told:
                    log.engine.exception("memory could not be looked after; it is tried again")
                told = repr(error)
            self._stopped.wait(WORKING_S if self._working() else RESTING_S)

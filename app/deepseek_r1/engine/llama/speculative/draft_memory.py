"""Frees a draft model with which answers are slower, so that the target's weights get its memory.

A draft model that is loaded within the budget displaces weights of the target, which are then read
in every pass. So it has to bring more than drafting alone costs: where it takes half of the memory
for weights, every pass may take twice as long before the first token is drafted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from deepseek_r1.core import log
from deepseek_r1.core.heap import trim_heap
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.memory.meter import unshared_mib
from deepseek_r1.weights.residency import Residency


class DraftMemory:
    """Owns a draft model, and the target's residencies: the one in force and that without it.

    `set_residency`, `residencies` and `released` are for any thread, the rest for the computing
    one. A new budget may come while the draft model is freed: both residencies change together.
    """

    def __init__(
        self,
        model: DraftModel | None,
        residency: Residency | None,
        without: Residency | None,
        set_residency: Callable[[Residency], None],
        plan: Callable[[float], Residency],
    ) -> None:
        """`residency` is the target's, `without` the one for the time without the draft model.

        Both are None where the target is not streamed. `set_residency` puts a residency in force
        with the next computation; `plan` returns that of as many MiB.
        """
        self.model = model
        self._residency, self._without, self._set_residency = residency, without, set_residency
        self._plan = plan
        self._lock = threading.Lock()
        self.released = False
        self._kept_mib = 0.0  # of the freed draft model's memory, by the process

    @property
    def residencies(self) -> tuple[Residency | None, Residency | None]:
        """The target's residency in force and that without the draft model, both of one budget."""
        with self._lock:
            return self._residency, self._without

    def set_residency(self, residency: Residency, without: Residency | None) -> None:
        """Put the residency of a new budget in force: `without` once the draft model is freed."""
        with self._lock:
            if self.released:
                residency = self._less(residency if without is None else without, self._kept_mib)
            self._without = residency if self.released else without
            self._put_in_force(residency)

    def release(self) -> None:
        """Free the draft model. The next computation uses its memory for the target's weights.

        They get what the process gave back: an allocator may keep some of what was freed.
        """
        log.engine.info("the draft model is freed: answers are slower with it")
        before_mib = unshared_mib(os.getpid())
        self.close()
        trim_heap()  # a vocabulary is many small blocks, which the heap would keep
        returned_mib = before_mib - unshared_mib(os.getpid())
        with self._lock:
            self.released = True
            if self._residency is not None and self._without is not None:
                planned_mib = self._without.total_mib - self._residency.total_mib
                self._kept_mib = max(0.0, planned_mib - returned_mib)
                self._without = self._less(self._without, self._kept_mib)
                self._put_in_force(self._without)

    def _less(self, residency: Residency, mib: float) -> Residency:
        """Return the residency that needs so much less memory."""
        return self._plan(residency.total_mib - mib) if mib else residency

    def _put_in_force(self, residency: Residency) -> None:
        self._residency = residency
        self._set_residency(residency)

    def close(self) -> None:
        """Free the draft model."""
        model, self.model = self.model, None
        if model is not None:
            model.close()

"""The live memory budget of a loaded model: the user's budget, and the limits of a shortage."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error, WrongUsage
from deepseek_r1.core.events import Bill, BillItem, GenerationStats, MemoryState
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.interface import Engine
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading
from deepseek_r1.memory.advice import refuse_misfit
from deepseek_r1.memory.governor import Allowance, MemoryGovernor, MemoryLimits
from deepseek_r1.memory.load_plan import LoadPlan, remember_slow
from deepseek_r1.memory.plan import (
    STREAMED_WEIGHT_ITEMS,
    MemoryPlan,
    ProcessOverhead,
    least_budget_mib,
    plan_streaming,
    residency_without_draft,
)

WORKING_INTERVAL_S = 0.5
IDLE_INTERVAL_S = 3.0  # a reading costs a millisecond and a half


class LiveBudget:
    """Changes the budget, from any thread.

    `idle` is a context manager that yields whether nothing is computed during its block.
    """

    def __init__(
        self, engine: Engine, model: LoadPlan, idle: Callable[[], AbstractContextManager[bool]]
    ) -> None:
        self._engine, self._header, self._settings = engine, model.header, model.settings
        self._overhead, self._draft = model.overhead, model.others.draft
        self._least_mib = least_budget_mib(model.header, model.settings, model.overhead)
        self._idle = idle
        self._lock = threading.RLock()
        self._allowed = Allowance(model.settings.memory_budget, model.settings.micro_batch)
        self._streams = engine.weights_stats is not None
        self._reduction_mib, self._closed = 0.0, False

    def close(self) -> None:
        """Change the model no more. Any thread, also more than once."""
        with self._lock:
            self._closed = True

    @property
    def wanted(self) -> MemoryLimits:
        """The memory that the user allows, and the least this model can run with."""
        budget = self._settings.memory_budget
        least = min(budget, self._least_mib) if self._streams else budget
        return MemoryLimits(budget, least, self._settings.micro_batch)

    def _settings_with(self, budget_mib: int) -> LoadSettings:
        return self._settings.model_copy(update={"memory_budget": budget_mib})

    @property
    def state(self) -> MemoryState:
        """The budget in force and the one that the user wants."""
        return MemoryState(
            budget_mib=self._allowed.budget_mib,
            wanted_mib=self._settings.memory_budget,
            batch=self._allowed.batch,
            short=self._allowed.short,
            streams=self._streams,
            draft_released=self._engine.draft_released,
        )

    def on_answer(self, stats: GenerationStats) -> None:
        """Remember a draft model with which an answer was slower, unless memory was short."""
        with self._lock:
            if stats.draft_released and self._draft is not None and not self._allowed.short:
                remember_slow(self._header, self._draft, self._settings.memory_budget)
                self._draft = None

    def set_budget(self, budget_mib: int, before: Bill, window_mib: float | None = None) -> Bill:
        """Set the user's new budget. Returns the bill under it, with measured sizes of `before`.

        Measured sizes replace the plan's: of the engine's own share, and `window_mib` where it is
        known. A model that is in memory as a whole needs the same memory under any budget that fits
        it. Raises BudgetTooSmall, and WrongUsage for such a model under a smaller budget.
        """
        if not self._streams:
            return self._set_budget_in_memory(budget_mib, before)
        overhead = self._current_overhead(before, window_mib)
        planned = plan_streaming(self._header, self._settings_with(budget_mib), overhead)
        refuse_misfit(planned.bill, self._header, self._settings_with(budget_mib), overhead)
        with self._lock:
            self._least_mib = least_budget_mib(self._header, self._settings, overhead)
            self._overhead = overhead
            self._settings = self._settings_with(budget_mib)
            limited = self._allowed
            most = min(limited.budget_mib, budget_mib) if limited.short else budget_mib
            # Also for the same budget: the overhead may have changed.
            self._apply(planned if most == budget_mib else self._plan(most), most)
            self._allowed = Allowance(most, limited.batch, limited.short)
        return _keep_measured(planned.bill, before)

    def reduce_weights(self, mib: float) -> bool:
        """Let streamed weights have so much less than the bill says, until the next call.

        Returns whether they do: a model that is in memory as a whole cannot. Raises BudgetTooSmall.
        """
        with self._lock:
            if self._closed or not self._streams:
                return False
            window_mib = self._overhead.window_mib + mib - self._reduction_mib
            overhead = replace(self._overhead, window_mib=window_mib)
            settings = self._settings_with(self._allowed.budget_mib)
            planned = plan_streaming(self._header, settings, overhead)
            refuse_misfit(planned.bill, self._header, settings, overhead)
            self._overhead, self._reduction_mib = overhead, mib
            self._apply(planned, settings.memory_budget)
        return True

    def _set_budget_in_memory(self, budget_mib: int, before: Bill) -> Bill:
        """Change the budget of a model whose weights all stay in memory."""
        bill = before.model_copy(update={"budget_mib": float(budget_mib)})
        if not bill.fits:
            raise WrongUsage(
                detail=tr("The whole model is in memory: load it again to change the budget.")
            )
        with self._lock:
            limited = self._allowed
            self._settings = self._settings_with(budget_mib)
            if not limited.short:
                self._allowed = Allowance(budget_mib, limited.batch)
        return bill

    def _current_overhead(self, before: Bill, window_mib: float | None) -> ProcessOverhead:
        runtime = next(line for line in before.lines if line.name is BillItem.RUNTIME)
        more_mib = max(0.0, (runtime.measured_mib or 0.0) - runtime.planned_mib)
        return replace(
            self._overhead,
            draft_mib=0.0 if self._engine.draft_released else self._overhead.draft_mib,
            runtime_mib=self._overhead.runtime_mib + more_mib,
            window_mib=(
                self._overhead.window_mib
                if window_mib is None
                else window_mib + self._reduction_mib
            ),
        )

    def set_limit(self, allowed: Allowance) -> None:
        """Apply the limits of a memory shortage, or lift them."""
        with self._lock:
            # The user's budget may be newer than the one that `allowed` was decided for.
            most = min(allowed.budget_mib, self._settings.memory_budget)
            allowed = replace(allowed, budget_mib=most)
            if self._streams and allowed.budget_mib != self._allowed.budget_mib:
                self._apply(self._plan(allowed.budget_mib), allowed.budget_mib)
            self._engine.limit_batch(allowed.batch)
            self._allowed = allowed

    def _plan(self, budget_mib: int) -> MemoryPlan:
        return plan_streaming(self._header, self._settings_with(budget_mib), self._overhead)

    def _apply(self, planned: MemoryPlan, budget_mib: int) -> None:
        """Hand the plan to the engine, in force with the next token, or at once between answers."""
        if planned.residency is not None:
            settings = self._settings_with(budget_mib)
            without_draft = residency_without_draft(self._header, settings, self._overhead)
            self._engine.set_residency(planned.residency, without_draft)
        with self._idle() as free:
            if free:  # otherwise the computation applies it
                self._engine.apply_residency()


class PressureMonitor:
    """Watches the machine's memory and limits a budget as the governor decides.

    One thread, until it is stopped or the model is gone; it keeps no model alive.
    """

    def __init__(
        self,
        budget: LiveBudget,
        on_change: Callable[[], None],
        working: Callable[[], bool],
        read: Callable[[], MemoryReading] = memory_reading,
    ) -> None:
        """`on_change` is called in the monitor's thread after the model's limits changed.

        `working` returns whether something is computed, so that memory may run short quickly.
        """
        self._budget = weakref.ref(budget)
        self._on_change, self._working, self._read = on_change, working, read
        self._wanted = budget.wanted
        self._governor = MemoryGovernor(self._wanted)
        self._limit: Allowance | None = self._governor.allowance  # that the model has
        self._checking = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="pressure-monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop. The model is not changed after this returns. Any thread, also more than once."""
        self._stopped.set()
        with self._checking:
            pass

    def check(self, now_s: float) -> None:
        """Read the pressure once and apply what the governor decides."""
        with self._checking:
            budget = self._budget()
            changed = (
                budget is not None and not self._stopped.is_set() and self._apply(budget, now_s)
            )
        if changed:
            self._on_change()

    def _apply(self, budget: LiveBudget, now_s: float) -> bool:
        """Apply the governor's limits to the model; True where they changed."""
        wanted = budget.wanted
        if wanted != self._wanted:
            self._wanted, self._limit = wanted, None  # what the model has may be older
            self._governor.set_limits(wanted)
        allowed = self._governor.decide(self._read(), now_s)
        if allowed == self._limit:
            return False
        log.engine.info("memory: %s", allowed)
        try:
            budget.set_limit(allowed)
        except R1Error as error:  # the model cannot run with less, so it keeps its memory
            log.engine.warning("memory could not be freed: %s", error)
        self._limit = allowed
        return True

    def _run(self) -> None:
        last_error = ""
        while self._budget() is not None and not self._stopped.is_set():
            try:
                self.check(time.monotonic())
            except Exception as error:  # noqa: BLE001 - logged, and the next check may succeed
                if repr(error) != last_error:
                    log.engine.exception("memory pressure could not be checked; it is tried again")
                last_error = repr(error)
            self._stopped.wait(WORKING_INTERVAL_S if self._working() else IDLE_INTERVAL_S)


def _keep_measured(bill: Bill, before: Bill) -> Bill:
    """Return `bill` with the measured sizes of the lines that a budget does not change."""
    known: dict[str, float | None] = {
        line.name: line.measured_mib
        for line in before.lines
        if line.name not in STREAMED_WEIGHT_ITEMS
    }
    return bill.with_measured(known).with_speed_of(before)

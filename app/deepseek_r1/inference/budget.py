"""The budget of a loaded model while it lives: what the user wants, and what a shortage leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from math import ceil

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import Bill, MemoryState, WeightsStats
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.base import Engine
from deepseek_r1.inference.opening import Opened
from deepseek_r1.memory.governor import Allowance, Wanted
from deepseek_r1.memory.plan import ProcessShare, plan_streamed, refuse_misfit

# Lines of the bill whose measured sizes a new budget makes old.
_MOVING = ("pinned", "slots", "experts")


class LiveBudget:
    """Any thread may move the budget. `free_turn` enters where no answer is being computed."""

    def __init__(
        self, opened: Opened, free_turn: Callable[[], AbstractContextManager[bool]]
    ) -> None:
        engine, header, settings = opened.engine, opened.header, opened.settings
        self._engine, self._header, self._settings = engine, header, settings
        self._share, self._least_mib = opened.share, self._least_under(opened.share)
        self._free_turn = free_turn
        self._moving = threading.RLock()
        self._allowed = Allowance(settings.memory_budget, settings.micro_batch)
        self._streams = engine.weights_stats is not None

    @property
    def wanted(self) -> Wanted:
        """What the user allows, and the least this model can do with."""
        budget = self._settings.memory_budget
        least = min(budget, self._least_mib) if self._streams else budget
        return Wanted(budget, least, self._settings.micro_batch)

    def _least_under(self, share: ProcessShare) -> int:
        """Weights that stream as far as they can, beside all other lines of the bill."""
        least = self._with(int(LoadSettings.bounds("memory_budget")[0]))
        return ceil(plan_streamed(self._header, least, share).total_mib)

    def _with(self, budget_mib: int) -> LoadSettings:
        return self._settings.model_copy(update={"memory_budget": budget_mib})

    @property
    def state(self) -> MemoryState:
        """For those who watch."""
        return MemoryState(
            budget_mib=self._allowed.budget_mib,
            wanted_mib=self._settings.memory_budget,
            batch=self._allowed.batch,
            short=self._allowed.short,
            streams=self._streams,
        )

    def move(self, budget_mib: int, before: Bill, window_mib: float | None = None) -> Bill:
        """The user's new budget; the bill under it, with what is still true of the one `before`.

        What the load measured counts in place of what was planned before it: the engine's own
        share, and `window_mib` where it is known.
        Raises BudgetTooSmall, and WrongUsage for a model that is in memory whole.
        """
        if not self._streams:
            raise WrongUsage(detail=tr("The model is in memory whole: load it again to change it."))
        share = self._share_now(before, window_mib)
        bill = plan_streamed(self._header, self._with(budget_mib), share)
        refuse_misfit(bill, self._header, self._with(budget_mib), share)
        with self._moving:
            self._share, self._least_mib = share, self._least_under(share)
            self._settings = self._with(budget_mib)
            held = self._allowed
            most = min(held.budget_mib, budget_mib) if held.short else budget_mib
            self._set_weights(most)  # also for the same budget: the share may be another
            self._allowed = Allowance(most, held.batch, held.short)
        return _still_measured(bill, before)

    def _share_now(self, before: Bill, window_mib: float | None) -> ProcessShare:
        runtime = next(line for line in before.lines if line.name == "runtime")
        more_mib = max(0.0, (runtime.measured_mib or 0.0) - runtime.planned_mib)
        return ProcessShare(
            runtime_mib=self._share.runtime_mib + more_mib,
            window_mib=self._share.window_mib if window_mib is None else window_mib,
        )

    def hold(self, allowed: Allowance) -> None:
        """Keep to what a shortage of memory leaves, or take up all that is wanted again."""
        with self._moving:
            if self._streams and allowed.budget_mib != self._allowed.budget_mib:
                self._set_weights(allowed.budget_mib)
            self._engine.limit_batch(allowed.batch)
            self._allowed = allowed

    def _set_weights(self, budget_mib: int) -> None:
        """Give the weights what the other lines of the bill leave of the budget."""
        lines = plan_streamed(self._header, self._with(budget_mib), self._share).lines
        self._engine.set_weights_budget(
            sum(line.planned_mib for line in lines if line.name in _MOVING)
        )
        with self._free_turn() as free:
            if free:  # no computation that would take it up
                self._engine.settle()


def _still_measured(bill: Bill, before: Bill) -> Bill:
    """`bill` with the measured sizes of the lines that a budget does not move."""
    known = {line.name: line.measured_mib for line in before.lines if line.name not in _MOVING}
    lines = tuple(
        line.model_copy(update={"measured_mib": known.get(line.name)}) for line in bill.lines
    )
    pace = {"disk_mib_s": before.disk_mib_s, "compute_s": before.compute_s}
    return bill.model_copy(update={"lines": lines, **pace})


def stats_of(engine: Engine) -> WeightsStats | None:
    """The engine's counters since the load; None where all weights are in memory."""
    now = engine.weights_stats
    if now is None:
        return None
    return WeightsStats(
        pinned_mib=now.pinned_mib + now.experts_mib,
        streamed_mib=now.streamed_mib,
        read_mib=now.read_mib,
        io_wait_s=now.io_wait_s,
        hits=now.hits,
        misses=now.misses,
        expert_hits=now.expert_hits,
        expert_misses=now.expert_misses,
        strategy=now.strategy,
        told_apart=now.told_apart,
    )

"""Changes settings of the loaded model without a reload, and asks for the bill of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.protocol import SetBudgetRequest, SetThreadsRequest
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.preferences import Preferences

if TYPE_CHECKING:
    from r1desk.models.controller import ModelController


class LiveSettings(QObject):
    """A part of the `ModelController`. Lives in the main thread."""

    planned = Signal(object, str, object)  # Bill, advice, and the LoadSettings that fit or None
    plan_failed = Signal(ErrorReport)
    budget_moved = Signal(object)  # events.ModelLoaded with the bill of the changed budget

    def __init__(
        self, models: ModelController, engine: EngineBridge, preferences: Preferences
    ) -> None:
        super().__init__()
        self._models, self._engine, self._preferences = models, engine, preferences
        self.tasks = Tasks(self)
        self._budget_changes = False  # the user's, not yet in force
        self._reduction_mib = 0.0
        self._threads: tuple[int, int] | None = None  # chosen during a load, for its end
        self._budget_mib: int | None = None  # the same
        engine.event_received.connect(self._on_event)
        models.load_started.connect(self._on_load_started)
        models.loaded.connect(self._on_loaded)
        models.load_failed.connect(self._on_load_ended)

    @Slot()
    def _on_load_started(self) -> None:
        self.tasks.end(self.plan)

    @newest_task
    async def plan(self, settings: LoadSettings) -> None:
        """Ask for the bill of the model that answers next with other settings."""
        if (path := self._models.next_path) is None:
            return
        try:
            estimate = await self._engine.bills.ask(path, settings, window_and_helpers_mib())
        except R1Error as refused:
            self.plan_failed.emit(refused.report())
            return
        fits = estimate.fits_with
        if fits is not None and fits.memory_budget > machine_memory_mib():
            fits = None
        self.planned.emit(estimate.bill, estimate.advice.text, fits)

    # ---- threads ----------------------------------------------------------------------------

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Change the threads at once, also while an answer is written."""
        self._models.keep_settings(threads=threads, threads_prefill=threads_prefill)
        if self._models.loading:
            self._threads = threads, threads_prefill
        elif self._models.current is not None:
            self._engine.submit(SetThreadsRequest, threads=threads, threads_prefill=threads_prefill)

    # ---- the budget -------------------------------------------------------------------------

    def set_budget(self, memory_budget: int) -> None:
        """Change the budget, in MiB, of a model that runs from the disk at once."""
        if self._models.loading:
            self._budget_mib = memory_budget
        if self._models.current is None or self._models.loading:
            return
        self._change_budget(memory_budget)

    @newest_task
    async def _change_budget(self, memory_budget: int) -> None:
        self.tasks.end(self.plan)  # its answer would be of the budget before
        self._budget_changes = True
        try:
            await self._submit_budget(memory_budget, window_and_helpers_mib())
        except R1Error as refused:
            self._budget_changes = False
            self._models.refuse_settings()
            self.plan_failed.emit(refused.report())
            return
        finally:
            self._budget_changes = False
        if self._models.current is not None:
            self._models.keep_settings(memory_budget=memory_budget)

    async def reduce_weights(self, mib: float) -> bool:
        """Let the weights have so much less, until the next call; returns whether they do.

        One call at a time. Raises R1Error, after which the reduction before it holds.
        """
        request = self.grow_window_share(mib - self._reduction_mib)
        if request is None:
            return False
        await request
        self._reduction_mib = mib
        return True

    def grow_window_share(self, more_mib: float) -> EngineRequest | None:
        """Shift `more_mib` of the budget from the model's weights to the window.

        Only a model that runs from the disk can follow; otherwise the bill keeps its lines. While
        the user's own change is under way nothing is done: its budget is not in the bill yet.
        """
        loaded = self._models.current
        if loaded is None or not loaded.bill.streams or self._budget_changes:
            return None
        lines = loaded.bill.lines
        share_mib = next(each.planned_mib for each in lines if each.name == events.BillItem.WINDOW)
        return self._submit_budget(int(loaded.bill.budget_mib), share_mib + more_mib)

    def _submit_budget(self, memory_budget: int, share_mib: float) -> EngineRequest:
        return self._engine.submit(
            SetBudgetRequest, memory_budget=memory_budget, window_mib=share_mib
        )

    @Slot(object)
    def _on_event(self, event: events.Event) -> None:
        loaded = self._models.current
        if isinstance(event, events.BudgetChanged) and loaded is not None:
            self.budget_moved.emit(self._models.take_bill(loaded, event.bill))

    @Slot()
    def _on_loaded(self) -> None:
        self._reduction_mib = 0.0
        self.tasks.end(self._change_budget)
        self._on_load_ended()

    @Slot()
    def _on_load_ended(self) -> None:
        """What was chosen meanwhile holds for the model that is loaded now, if there is one."""
        threads, budget_mib = self._threads, self._budget_mib
        self._threads = self._budget_mib = None
        if threads is not None:
            self.set_threads(*threads)
        if budget_mib is not None:
            self.set_budget(budget_mib)

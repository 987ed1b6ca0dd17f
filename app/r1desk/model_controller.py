"""Which model is loaded, and with which settings: between panel, preferences and engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import events, log
from deepseek_r1.core.errors import BudgetTooSmall, ErrorReport, ModelFileMissing
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.host.notices import EngineState
from deepseek_r1.host.protocol import Inspected
from deepseek_r1.memory import meter
from r1desk.bridge import EngineBridge
from r1desk.preferences import Preferences

RECENT_MODELS = 8


@dataclass(frozen=True, slots=True)
class WayOut:
    """A model that was refused for its memory, and settings under which it fits."""

    refused: ErrorReport
    path: Path
    settings: LoadSettings


class ModelController(QObject):
    """Loads, plans and remembers. Lives in the main thread."""

    load_started = Signal(str)  # path
    load_progressed = Signal(float)
    loaded = Signal(object)  # events.ModelLoaded
    load_failed = Signal(ErrorReport)
    settings_refused = Signal(object)  # the LoadSettings that stay in force
    way_out_found = Signal(object)  # WayOut, soon after the `load_failed` it belongs to
    planned = Signal(object, str, object)  # Bill, advice, LoadSettings that fit or None
    plan_failed = Signal(ErrorReport)
    threads_measured = Signal(object)  # events.ThreadsMeasured
    measuring_failed = Signal(ErrorReport)
    budget_moved = Signal(object)  # events.ModelLoaded under another budget
    preferences_changed = Signal()

    def __init__(self, engine: EngineBridge, preferences: Preferences) -> None:
        super().__init__()
        self._engine = engine
        self._preferences = preferences
        self._load_id = 0
        self._plan_id = self._measuring_id = 0
        self._refusal: tuple[int, ErrorReport, Path] | None = None  # asked for a way out of it
        self._budget: tuple[int, int] = (0, 0)  # a change under way: its request and MiB
        self._share_id = 0  # of the last change of the window's share
        self._pace = {"disk_mib_s": 0.0, "compute_s": 0.0}  # as the last bill that needed it told
        self._loading_path: Path | None = None
        self._wanted: LoadSettings | None = None  # in force once a model has loaded with them
        self.current: events.ModelLoaded | None = None
        engine.event.connect(self._on_event)
        engine.failed.connect(self._on_failed)
        engine.done.connect(self._on_done)
        engine.inspected.connect(self._on_inspected)
        engine.state_changed.connect(self._on_state)

    @property
    def path(self) -> Path | None:
        """The chosen model: the remembered one, else the starter model."""
        chosen = self._preferences.model_path
        return Path(chosen) if chosen else starter_model()

    @property
    def name(self) -> str:
        """What answers are signed with."""
        if self.current is not None:
            return self.current.facts.name
        return self.path.stem if self.path else ""

    @property
    def loading(self) -> bool:
        """True between a load request and its outcome."""
        return self._loading_path is not None

    def load_chosen(self) -> None:
        """Load the remembered model with the remembered settings."""
        path = self.path
        if path is None:
            self.load_failed.emit(ModelFileMissing(path="SmolLM2").report())
        else:
            self._load(path)

    @Slot()
    def ensure_loading(self) -> None:
        """A question waits: load the remembered model unless one is there or on its way."""
        if self.current is None and not self.loading:
            self.load_chosen()

    def choose(self, path: Path) -> None:
        """Load another model; it is remembered once it has loaded."""
        self._load(path)

    def apply(self, settings: LoadSettings) -> None:
        """Load the model again with new settings; they are remembered once it has loaded."""
        self._wanted = settings
        self.load_chosen()

    def take_way_out(self, way: WayOut) -> None:
        """Load what was refused with the settings that fit; remembered once it has loaded."""
        self._wanted = way.settings
        self._load(way.path)

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Change the threads at once, also while an answer is written."""
        changed = {"threads": threads, "threads_prefill": threads_prefill}
        self._preferences.load = self._preferences.load.model_copy(update=changed)
        if self._wanted is not None:
            self._wanted = self._wanted.model_copy(update=changed)
        self.preferences_changed.emit()
        if self.current is not None:
            self._engine.set_threads(threads, threads_prefill)

    def set_budget(self, memory_budget: int) -> None:
        """Change the budget of a model that runs from the disk at once; MiB."""
        if self.current is not None:
            request_id = self._engine.set_budget(memory_budget, window_mib())
            self._budget = (request_id, memory_budget)

    def leave_to_window(self, more_mib: float) -> None:
        """Of the same budget, give the window more than the bill does and the model's weights less.

        Only a model that runs from the disk can follow; where it can't, the bill stays as it is.
        While the user's own change is under way nothing is done: its number is not the bill's yet.
        """
        if self.current is None or not self.current.bill.streams or self._budget[0]:
            return
        bill = self.current.bill
        share_mib = next(line.planned_mib for line in bill.lines if line.name == "window")
        self._share_id = self._engine.set_budget(int(bill.budget_mib), share_mib + more_mib)

    @Slot()
    def measure_threads(self) -> None:
        """Find the thread counts that suit the loaded model."""
        self._measuring_id = self._engine.measure_threads()

    def plan(self, settings: LoadSettings) -> None:
        """Ask for the bill of the chosen model with other settings."""
        if self.path is not None:
            self._plan_id = self._engine.inspect(self.path, settings, window_mib())

    def _load(self, path: Path) -> None:
        if self._loading_path is not None:
            self._engine.cancel(self._load_id)
        self._loading_path, self._refusal = path, None
        self.load_started.emit(str(path))
        settings = self._wanted or self._preferences.load
        self._load_id = self._engine.load(path, settings, window_mib())

    @Slot(int, object)
    def _on_event(self, request_id: int, event: events.Event) -> None:
        match event:
            case events.LoadProgress(fraction=fraction) if request_id == self._load_id:
                self.current = None  # from here on the model before is gone
                self.load_progressed.emit(fraction)
            case events.BudgetChanged(bill=bill) if request_id in (self._budget[0], self._share_id):
                self._on_budget_changed(bill)
            case events.ThreadsMeasured() if request_id == self._measuring_id:
                if self.current is not None:
                    self.current = self.current.model_copy(update={"measured": event})
                self.threads_measured.emit(event)
            case events.ModelLoaded():  # also of a reload that the supervisor did by itself
                self._on_loaded(event)

    def _on_loaded(self, loaded: events.ModelLoaded) -> None:
        self._loading_path, self._budget = None, (0, 0)
        bill = self._with_speed(loaded.bill)
        self.current = loaded = loaded.model_copy(update={"bill": bill})
        self._preferences.load = self._wanted or self._preferences.load
        self._wanted = None
        self._remember(Path(loaded.facts.path))
        self.loaded.emit(loaded)

    def _on_budget_changed(self, bill: events.Bill) -> None:
        if self.current is None:
            return
        self.current = self.current.model_copy(update={"bill": self._with_speed(bill)})
        self.budget_moved.emit(self.current)

    def _with_speed(self, bill: events.Bill) -> events.Bill:
        """A bill of a model that runs from the disk, with the speed that was measured last."""
        known = bill.disk_mib_s or not bill.streams
        return bill if known else bill.model_copy(update=self._pace)

    def _remember(self, path: Path) -> None:
        starter = starter_model()
        self._preferences.model_path = None if path == starter else str(path)
        if path != starter:
            others = [known for known in self._preferences.recent_models if known != str(path)]
            self._preferences.recent_models = [str(path), *others][:RECENT_MODELS]
        self.preferences_changed.emit()

    @Slot(int, ErrorReport)
    def _on_failed(self, request_id: int, report: ErrorReport) -> None:
        if request_id == self._load_id:
            self._ask_for_way_out(report)
            self._loading_path = None
            self.load_failed.emit(report)
            if self._wanted is not None:
                self._wanted = None
                self.settings_refused.emit(self._preferences.load)
        elif request_id == self._plan_id:
            self.plan_failed.emit(report)
        elif request_id == self._measuring_id:
            self.measuring_failed.emit(report)
        elif request_id == self._share_id:
            log.window.info("the window's share of the budget stays: %s", report.text())
        elif request_id == self._budget[0]:
            self._budget = (0, 0)
            self.settings_refused.emit(self._preferences.load)
            self.plan_failed.emit(report)

    def _ask_for_way_out(self, report: ErrorReport) -> None:
        path = self._loading_path
        if report.code == BudgetTooSmall.__name__ and path is not None:
            settings = self._wanted or self._preferences.load
            request_id = self._engine.inspect(path, settings, window_mib())
            self._refusal = (request_id, report, path)

    @Slot(int)
    def _on_done(self, request_id: int) -> None:
        """A changed budget is in force."""
        budget_id, memory_budget = self._budget
        if request_id != budget_id:
            return
        self._budget = (0, 0)
        if self.current is None:
            return
        changed = {"memory_budget": memory_budget}
        self._preferences.load = self._preferences.load.model_copy(update=changed)
        self.preferences_changed.emit()

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        """A refused file leaves the present model in the engine; an ended engine has none."""
        if state in (EngineState.STOPPED, EngineState.READY, EngineState.FAILED):
            self.current = None

    @Slot(object)
    def _on_inspected(self, told: Inspected) -> None:
        bill, fits_with = told.bill, told.fits_with
        if bill.disk_mib_s:
            self._pace = {"disk_mib_s": bill.disk_mib_s, "compute_s": bill.compute_s}
        if fits_with is not None and fits_with.memory_budget > machine_memory_mib():
            fits_with = None  # more than there is: no way for this computer
        if told.id == self._plan_id:
            self.planned.emit(bill, told.advice, fits_with)
        elif self._refusal is not None and told.id == self._refusal[0]:
            _, report, path = self._refusal
            self._refusal = None
            if fits_with is not None:
                facts = report.facts | {"advice": told.advice}
                refused = report.model_copy(update={"facts": facts})
                self.way_out_found.emit(WayOut(refused, path, fits_with))


def window_mib() -> float:
    """What this process, the window, holds in memory now: a line of the bill."""
    return meter.process_mib(os.getpid())

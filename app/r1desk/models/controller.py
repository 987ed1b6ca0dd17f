"""Loads, plans and remembers the model: between panel, preferences and engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import events, log
from deepseek_r1.core.errors import (
    BudgetTooSmall,
    ContextTooLarge,
    DraftUnfit,
    ErrorReport,
    ModelFileMissing,
    TemplateUnusable,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.hardware import machine_memory_mib
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.host.protocol import (
    LoadRequest,
    MeasureThreadsRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    UnloadRequest,
)
from deepseek_r1.host.supervisor_events import EngineState
from deepseek_r1.memory.estimate import Estimate
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.models.chosen_templates import ChosenTemplate, ChosenTemplates
from r1desk.models.forecast import larger_budget
from r1desk.platform.background_thread import BackgroundAnswer
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences

RECENT_MODELS = 8


@dataclass(frozen=True, slots=True)
class LoadAlternative:
    """A model that was refused for memory, context or draft model, and settings that load it."""

    refused: ErrorReport
    path: Path
    settings: LoadSettings
    without_draft: bool = False  # the draft model alone was the reason


class ModelController(QObject):
    """Lives in the main thread."""

    load_started = Signal(str)  # the path
    load_progressed = Signal(float)  # the fraction that is read, 0 to 1
    loaded = Signal(object)  # events.ModelLoaded
    load_failed = Signal(ErrorReport)
    own_template_refused = Signal(object)  # the path, after its `load_failed`
    alternative_found = Signal(object)  # LoadAlternative, soon after its `load_failed`
    unloaded = Signal()  # the model was unloaded; the next message loads it again
    load_planned = Signal(object)  # the Bill of the file that is being loaded
    settings_refused = Signal(object)  # the LoadSettings that stay in force
    planned = Signal(object, str, object)  # Bill, advice, and the LoadSettings that fit or None
    plan_failed = Signal(ErrorReport)
    threads_measured = Signal(object)  # events.ThreadsMeasured
    measuring_failed = Signal(ErrorReport)
    budget_moved = Signal(object)  # events.ModelLoaded with the bill of the changed budget
    preferences_changed = Signal()  # the preferences are to be saved

    def __init__(self, engine: EngineBridge, preferences: Preferences) -> None:
        super().__init__()
        self._engine = engine
        self._preferences = preferences
        self._load: EngineRequest | None = None
        self._plan: BackgroundAnswer | None = None
        self._budget_change: EngineRequest | None = None  # the user's, not yet in force
        self._speed_known: events.Bill | None = None  # the last bill that had the disk's speed
        self._loading_path: Path | None = None
        self._new_settings: LoadSettings | None = None  # in force once a model has loaded with them
        self._templates = ChosenTemplates(preferences)
        self.current: events.ModelLoaded | None = None
        self.resting = False  # unloaded on purpose: the next message loads it again
        engine.model_loaded.connect(self._on_loaded)
        engine.state_changed.connect(self._on_state)

    @property
    def next_path(self) -> Path | None:
        """The model that answers next: the one being loaded, else the chosen one."""
        return self._loading_path or self.path

    @property
    def path(self) -> Path | None:
        """The chosen model: the remembered one, else the starter model."""
        chosen = self._preferences.model_path
        return Path(chosen) if chosen else starter_model()

    @property
    def name(self) -> str:
        """The model's name for the answers that it writes."""
        if self.current is not None:
            return self.current.facts.name
        return self.path.stem if self.path else ""

    @property
    def loaded_path(self) -> Path | None:
        """The file of the loaded model."""
        return Path(self.current.facts.path) if self.current is not None else None

    @property
    def facts(self) -> events.ModelFacts | None:
        """The facts of the loaded model."""
        return self.current.facts if self.current is not None else None

    @property
    def draft_model(self) -> str:
        """The draft model's file in the remembered settings; empty for none."""
        return self._preferences.load.draft_model

    @property
    def ready(self) -> bool:
        """True while a model is loaded and no other one is on its way."""
        return self.current is not None and not self.loading

    @property
    def loading(self) -> bool:
        """True between a load request and its outcome."""
        return self._loading_path is not None

    @property
    def load_waits(self) -> bool:
        """True while a load waits for the end of the answer that is being written."""
        return self.loading and self._engine.state is EngineState.GENERATING

    # ---- loading ----------------------------------------------------------------------------

    def load_chosen(self) -> None:
        """Load the remembered model with the remembered settings."""
        path = self.path
        if path is None:
            self.load_failed.emit(ModelFileMissing(path="SmolLM2").report())
        else:
            self._start_load(path)

    @Slot()
    def ensure_loading(self) -> None:
        """Load the remembered model unless one is loaded or loading: a question waits for it."""
        if self.current is None and not self.loading:
            self.load_chosen()

    def choose(self, path: Path, draft_model: Path | None = None) -> None:
        """Load another model, with `draft_model` or its own one; remembered once it has loaded."""
        if draft_model is not None:
            chosen = str(draft_model)
        elif path == self.next_path:
            chosen = self._load_settings.draft_model
        else:
            chosen = self._preferences.draft_models.get(str(path), "")
        settings = with_draft_model(self._load_settings, chosen)
        if settings != self._load_settings:
            self._new_settings = settings
        self._start_load(path)

    def apply_draft(self, draft_model: Path) -> None:
        """Load the model again with a draft model, and use it."""
        settings = with_draft_model(self._preferences.load, str(draft_model))
        if settings.drafts in (DraftMode.OFF, DraftMode.LOOKUP):
            settings = settings.model_copy(update={"drafts": DraftMode.AUTO})
        self.apply(settings)

    def apply(self, settings: LoadSettings) -> None:
        """Load the model again with new settings; they are remembered once it has loaded."""
        self._new_settings = settings
        self.load_chosen()

    def load_alternative(self, alternative: LoadAlternative) -> None:
        """Load a refused model with settings that fit; remembered once it has loaded."""
        self._new_settings = alternative.settings
        self._start_load(alternative.path)

    def choose_template(self, path: Path, chosen: ChosenTemplate) -> None:
        """Load a model with this chat template; remembered once it has loaded."""
        self._templates.try_out(path, chosen)
        self._start_load(path)

    @property
    def chosen_template(self) -> ChosenTemplate:
        """The chat template that was chosen for the present model."""
        return self._templates.of(self.path) if self.path is not None else ChosenTemplate()

    @Slot()
    def unload(self) -> None:
        """Unload the model, unless it writes an answer; the next message loads it again.

        It counts as unloaded at once: a message sent meanwhile is answered after a new load.
        """
        if self.current is None or self.loading or self._engine.state is EngineState.GENERATING:
            return
        request = self._engine.submit(UnloadRequest)
        request.failed.connect(_log_failure)
        self.current = None
        self.resting = True
        self.unloaded.emit()

    @property
    def _load_settings(self) -> LoadSettings:
        return self._new_settings or self._preferences.load

    def _start_load(self, path: Path) -> None:
        if self._load is not None:
            self._load.cancel()
            self._load.abandon()
        self._loading_path = path
        self.resting = False
        self.load_started.emit(str(path))
        settings = self._load_settings
        self._plan_load(path, settings)
        self._load = self._engine.submit(
            LoadRequest,
            path=str(path),
            settings=settings,
            window_mib=window_and_helpers_mib(),
            prompt_cache=self._engine.prompt_cache,
            chat_template=self._templates.of(path).template,
        )
        self._load.event.connect(self._on_load_event)
        self._load.failed.connect(partial(self._on_load_failed, path, settings))

    def _plan_load(self, path: Path, settings: LoadSettings) -> None:
        """Ask for the bill before the load: what was shown belongs to another model."""
        if self._plan is not None:
            self._plan.abandon()
        self._plan = self._ask_bill(path, settings, measure_disk=False)  # the load reads from it
        self._plan.done.connect(self._on_load_planned)

    @Slot(object)
    def _on_load_planned(self, estimate: Estimate) -> None:
        if self.loading:
            self.load_planned.emit(estimate.bill)

    @Slot(object)
    def _on_load_event(self, event: events.Event) -> None:
        if isinstance(event, events.LoadProgress):
            self.current = None  # the engine has unloaded the model before it
            self.load_progressed.emit(event.fraction)

    @Slot(object)
    def _on_loaded(self, loaded: events.ModelLoaded) -> None:
        self._loading_path = None
        self._load = None
        if self._budget_change is not None:
            self._budget_change.abandon()
            self._budget_change = None
        bill = self._with_disk_speed(loaded.bill)
        self.current = loaded = loaded.model_copy(update={"bill": bill})
        self._preferences.load = self._load_settings
        self._new_settings = None
        self._templates.accept(Path(loaded.facts.path))
        self._remember(Path(loaded.facts.path))
        self.loaded.emit(loaded)

    def _remember(self, path: Path) -> None:
        """Remember the model, and its draft model: another one needs another."""
        p, starter = self._preferences, starter_model()
        p.model_path = None if path == starter else str(path)
        if path != starter:
            others = [known for known in p.recent_models if known != str(path)]
            p.recent_models = [str(path), *others][:RECENT_MODELS]
        p.draft_models.pop(str(path), None)
        if p.load.draft_model:
            p.draft_models[str(path)] = p.load.draft_model
        self.preferences_changed.emit()

    def _on_load_failed(self, path: Path, settings: LoadSettings, report: ErrorReport) -> None:
        self._loading_path = None
        self._load = None
        is_own = not self._templates.of(path).template
        self._templates.discard()
        if report.code == BudgetTooSmall.__name__:
            request = self._ask_bill(path, settings)
            request.done.connect(partial(self._on_alternative, path, settings, report))
            request.failed.connect(_log_failure)
        self.load_failed.emit(report)
        if self._new_settings is not None:
            self._new_settings = None
            self.settings_refused.emit(self._preferences.load)
        if report.code == TemplateUnusable.__name__ and is_own:
            self.own_template_refused.emit(path)
        elif _is_about_draft(report, settings):
            without = with_draft_model(settings, "")
            self.alternative_found.emit(LoadAlternative(report, path, without, without_draft=True))
        elif report.code == ContextTooLarge.__name__:
            shorter = settings.model_copy(update={"context_length": report.facts["trained"]})
            self.alternative_found.emit(LoadAlternative(report, path, shorter))

    def _on_alternative(
        self, path: Path, settings: LoadSettings, report: ErrorReport, estimate: Estimate
    ) -> None:
        """Offer settings that fit, unless another load has begun."""
        if self.loading:
            return
        advice, fits_with = estimate.advice.text, _possible(estimate.fits_with)
        current_mib = self.current.bill.total_mib if self.current is not None else 0.0
        available_mib = memory_reading().available_mib + current_mib
        if (raised := larger_budget(settings, estimate.bill, available_mib)) is not None:
            fits_with = raised
            advice = tr(
                "It fits with a budget of {budget:,} MiB, which is free now.",
                budget=raised.memory_budget,
            )
        if fits_with is None:
            return
        refused = report.model_copy(update={"facts": report.facts | {"advice": advice}})
        self.alternative_found.emit(LoadAlternative(refused, path, fits_with))

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        """A refused file leaves the present model in the engine; an ended engine has none."""
        if state in (EngineState.STOPPED, EngineState.READY, EngineState.FAILED):
            self.current = None

    # ---- the bill of other settings ---------------------------------------------------------

    def plan(self, settings: LoadSettings) -> None:
        """Ask for the bill of the chosen model with other settings."""
        if self.path is None:
            return
        if self._plan is not None:
            self._plan.abandon()
        self._plan = self._ask_bill(self.path, settings)
        self._plan.done.connect(self._on_planned)
        self._plan.failed.connect(self.plan_failed)

    def _ask_bill(
        self, path: Path, settings: LoadSettings, *, measure_disk: bool = True
    ) -> BackgroundAnswer:
        window_mib = window_and_helpers_mib()
        request = self._engine.bills.ask(path, settings, window_mib, measure_disk=measure_disk)
        request.done.connect(self._record_disk_speed)
        return request

    @Slot(object)
    def _record_disk_speed(self, estimate: Estimate) -> None:
        if estimate.bill.disk_mib_s:
            self._speed_known = estimate.bill

    @Slot(object)
    def _on_planned(self, estimate: Estimate) -> None:
        self.planned.emit(estimate.bill, estimate.advice.text, _possible(estimate.fits_with))

    def _with_disk_speed(self, bill: events.Bill) -> events.Bill:
        """Add the speed that was measured last to the bill of a model that runs from the disk."""
        known = bill.disk_mib_s or not bill.streams or self._speed_known is None
        return bill if known else bill.with_speed_of(self._speed_known)

    # ---- changes without a reload -----------------------------------------------------------

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        """Change the threads at once, also while an answer is written."""
        changed = {"threads": threads, "threads_prefill": threads_prefill}
        self._preferences.load = self._preferences.load.model_copy(update=changed)
        if self._new_settings is not None:
            self._new_settings = self._new_settings.model_copy(update=changed)
        self.preferences_changed.emit()
        if self.current is not None:
            request = self._engine.submit(SetThreadsRequest, **changed)
            request.failed.connect(_log_failure)

    @Slot()
    def measure_threads(self) -> None:
        """Find the thread counts that suit the loaded model."""
        request = self._engine.submit(MeasureThreadsRequest)
        request.event.connect(self._on_threads_measured)
        request.failed.connect(self.measuring_failed)

    @Slot(object)
    def _on_threads_measured(self, event: events.Event) -> None:
        if not isinstance(event, events.ThreadsMeasured):
            return
        if self.current is not None:
            self.current = self.current.model_copy(update={"measured": event})
        self.threads_measured.emit(event)

    def set_budget(self, memory_budget: int) -> None:
        """Change the budget, in MiB, of a model that runs from the disk at once."""
        if self.current is None:
            return
        if self._budget_change is not None:
            self._budget_change.abandon()
        self._budget_change = self._submit_budget(memory_budget, window_and_helpers_mib())
        self._budget_change.done.connect(partial(self._on_budget_set, memory_budget))
        self._budget_change.failed.connect(self._on_budget_refused)

    def grow_window_share(self, more_mib: float) -> None:
        """Shift `more_mib` of the budget from the model's weights to the window.

        Only a model that runs from the disk can follow; otherwise the bill keeps its lines. While
        the user's own change is under way nothing is done: its budget is not in the bill yet.
        """
        if self.current is None or not self.current.bill.streams or self._budget_change is not None:
            return
        bill = self.current.bill
        share_mib = next(line.planned_mib for line in bill.lines if line.name == "window")
        request = self._submit_budget(int(bill.budget_mib), share_mib + more_mib)
        request.failed.connect(_log_failure)

    def _submit_budget(self, memory_budget: int, share_mib: float) -> EngineRequest:
        request = self._engine.submit(
            SetBudgetRequest, memory_budget=memory_budget, window_mib=share_mib
        )
        request.event.connect(self._on_budget_event)
        return request

    @Slot(object)
    def _on_budget_event(self, event: events.Event) -> None:
        if isinstance(event, events.BudgetChanged) and self.current is not None:
            bill = self._with_disk_speed(event.bill)
            self.current = self.current.model_copy(update={"bill": bill})
            self.budget_moved.emit(self.current)

    def _on_budget_set(self, memory_budget: int, _reply: object) -> None:
        self._budget_change = None
        if self.current is None:
            return
        changed = {"memory_budget": memory_budget}
        self._preferences.load = self._preferences.load.model_copy(update=changed)
        self.preferences_changed.emit()

    @Slot(ErrorReport)
    def _on_budget_refused(self, report: ErrorReport) -> None:
        self._budget_change = None
        self.settings_refused.emit(self._preferences.load)
        self.plan_failed.emit(report)


def with_draft_model(settings: LoadSettings, draft_model: str) -> LoadSettings:
    """The settings with another draft model; where there is none, drafts do not require one."""
    changed: dict[str, object] = {"draft_model": draft_model}
    if not draft_model and settings.drafts is DraftMode.MODEL:
        changed["drafts"] = DraftMode.AUTO
    return settings.model_copy(update=changed)


def _is_about_draft(report: ErrorReport, settings: LoadSettings) -> bool:
    """True where the draft model was refused, not the model."""
    if not settings.draft_model:
        return False
    at_fault = report.facts.get("path")
    same_file = isinstance(at_fault, str) and Path(at_fault) == Path(settings.draft_model)
    return same_file or report.code == DraftUnfit.__name__


def _possible(settings: LoadSettings | None) -> LoadSettings | None:
    """The settings, unless they need more memory than this computer has."""
    if settings is not None and settings.memory_budget > machine_memory_mib():
        return None
    return settings


def _log_failure(report: ErrorReport) -> None:
    """The present state stays in force and is shown; only the reason is recorded."""
    log.window.info("the engine refused a change: %s", report.text())

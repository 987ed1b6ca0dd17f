"""The strip below the window, and the panel with its settings, which are sent to the engine."""

from pathlib import Path

from PySide6.QtCore import Slot

from deepseek_r1.catalogue.download_spec import spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft, draft_for_file
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import BillItem, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.chat.feature import ChatFeature
from r1desk.features import Feature, Presenter, Services
from r1desk.models.controller import ModelController
from r1desk.models.downloads import ON_ITS_WAY, Downloads
from r1desk.models.feature import ModelsFeature
from r1desk.models.pill_presenter import RecentModels
from r1desk.performance.presenter import PerformancePresenter, PerformanceWindow, PresetPresenter
from r1desk.performance.resource_sampler import BudgetGuard, ResourceSampler
from r1desk.performance.widgets.load_section import LoadSection
from r1desk.performance.widgets.panel import PerformancePanel
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences


class PerformanceFeature(Feature[PerformanceWindow]):
    """Owns the sampler and the budget's guard. Main thread."""

    def __init__(self, services: Services, chat: ChatFeature, models: ModelsFeature) -> None:
        super().__init__()
        self._services, self._chat, self._models = services, chat, models
        self.sampler = ResourceSampler(services.engine, self)
        self.guard = BudgetGuard(services.engine, models.controller, self.sampler, self)

    def attach(self, window: PerformanceWindow) -> None:
        """Show the measurements and the settings in this window."""
        chat, models, engine = self._chat, self._models.controller, self._services.engine
        self._presets = PresetPresenter(window, chat.presets, chat.settings, models)
        self.presenters = [
            self._presets,
            PerformancePresenter(window, engine, models, chat.controller, self.guard),
        ]
        window.panel_made.connect(self._attach_panel)
        if window.made_panel is not None:
            self._attach_panel(window.made_panel)

    @Slot(object)
    def _attach_panel(self, panel: PerformancePanel) -> None:
        """Show in the panel what is so by now, and what changes from now on."""
        chat, settings, models = self._chat, self._chat.settings, self._models.controller
        preferences = self._services.preferences
        self._presets.attach_row(panel)
        self.presenters += [
            LoadPresenter(panel, models, self._models.recent, preferences),
            DraftOfferPresenter(panel.load, models, self._models.downloads),
        ]
        panel.model.now_button.clicked.connect(chat.controller.answers.stop_writing)
        panel.answers.changed.connect(settings.change)
        chat.controller.leaving.connect(panel.answers.flush)
        settings.shown.connect(panel.answers.show_settings)
        panel.answers.show_settings(*settings.present)
        chat.sizes.changed.connect(panel.context.show_size)
        panel.context.show_size(chat.sizes.size)
        panel.next_turn.set_settings(preferences.prompts)
        panel.next_turn.show_state(chat.prompts.state)
        panel.next_turn.settings_changed.connect(chat.set_prompt_settings)
        chat.prompts.state_changed.connect(panel.next_turn.show_state)

    def start(self) -> None:
        """Begin to measure."""
        self.sampler.start()

    def close(self) -> None:
        """End measuring."""
        self.sampler.stop()


class DraftOfferPresenter(Presenter):
    """Offers the download; then the model is loaded with the file."""

    def __init__(self, section: LoadSection, models: ModelController, downloads: Downloads) -> None:
        super().__init__(section)
        self._section, self._models, self._downloads = section, models, downloads
        section.draft_model.offered.clicked.connect(self._on_taken)
        for signal in (models.loaded, models.gone):
            signal.connect(self._show)
        downloads.changed.connect(self._show)
        self._show()

    @property
    def _draft(self) -> KnownDraft | None:
        path = self._models.loaded_path
        return draft_for_file(path.name) if path is not None else None

    def _is_on_its_way(self, draft: KnownDraft) -> bool:
        return any(
            each.spec.file == draft.file and each.state in ON_ITS_WAY
            for each in self._downloads.items
        )

    @Slot()
    def _show(self) -> None:
        row, draft = self._section.draft_model, self._draft
        if draft is None:
            row.offer("")
        elif self._is_on_its_way(draft):
            row.offer(tr("Downloading…"))
        elif (arrived := self._downloads.arrived(draft.file)) is not None:
            row.offer(tr("Load with it"), str(arrived))
        else:
            size = format_size(draft.about_bytes)
            licence = tr("Its licence is stated on {page}", page=str(draft.origin))
            tip = f"{spec_for_draft(draft).url}\n{licence}"
            row.offer(tr("Download about {size}", size=size), tip)

    @Slot()
    def _on_taken(self) -> None:
        draft = self._draft
        if draft is None or self._is_on_its_way(draft):
            return
        arrived = self._downloads.arrived(draft.file)
        if arrived is None:
            self._downloads.start(spec_for_draft(draft))
        else:
            self._models.apply_draft(arrived)


class LoadPresenter(Presenter):
    """Shows the model and its bill in the panel, and sends changed settings to the engine."""

    def __init__(
        self,
        panel: PerformancePanel,
        models: ModelController,
        recent: RecentModels,
        preferences: Preferences,
    ) -> None:
        super().__init__(panel)
        self._panel, self._models, self._preferences = panel, models, preferences
        panel.load.set_settings(preferences.load)
        self._recent = recent
        recent.changed.connect(self._on_recent_changed)
        self._on_recent_changed()
        self._connect_panel()
        self._connect_models()
        if models.edited is not None:  # in the window before this one
            panel.load.edit(models.edited)
        if models.current is not None:
            self._on_loaded(models.current)
        elif models.resting:
            panel.show_unloaded()
        if models.loading:
            self._on_load_started(str(models.next_path))
        elif models.failure is not None:
            self._on_load_failed(models.failure)

    def _connect_panel(self) -> None:
        panel, models, live = self._panel, self._models, self._models.live
        panel.settings_applied.connect(models.apply)
        panel.load.edited_changed.connect(self._on_edited)
        panel.load.plan_wanted.connect(live.plan)
        panel.load.threads_changed.connect(live.set_threads)
        panel.load.budget_changed.connect(live.set_budget)

    def _connect_models(self) -> None:
        panel, models, live = self._panel, self._models, self._models.live
        live.planned.connect(panel.show_plan)
        live.plan_failed.connect(panel.show_plan_failed)
        models.load_started.connect(self._on_load_started)
        models.gone.connect(self._on_gone)
        models.load_planned.connect(panel.show_load_planned)
        models.load_progressed.connect(panel.model.show_progress)
        models.loaded.connect(self._on_loaded)
        models.load_failed.connect(self._on_load_failed)
        models.unloaded.connect(panel.show_unloaded)
        live.budget_moved.connect(self._on_budget_moved)
        models.settings_refused.connect(panel.load.restore)

    @Slot(str)
    def _on_load_started(self, path: str) -> None:
        self._on_gone()
        name = self._recent.name_of(Path(path))
        self._panel.model.show_loading(name, self._models.waiting_note)

    @Slot()
    def _on_gone(self) -> None:
        """What is changed from now on waits for a load."""
        self._panel.load.follow_budget_of(None)

    @Slot()
    def _on_edited(self) -> None:
        """A load takes what the panel shows."""
        section = self._panel.load
        self._models.edited = section.edited if section.pending else None

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        panel = self._panel
        if panel.load.applied != self._preferences.load:  # they were not chosen in the panel
            panel.load.set_settings(self._preferences.load)
        panel.show_model(with_window_measured(loaded))
        if panel.load.pending:
            self._models.live.plan(panel.load.edited)
        elif loaded.bill.streams and not loaded.bill.disk_mib_s:
            self._models.live.plan(self._preferences.load)  # it measures the disk's speed

    @Slot()
    def _on_recent_changed(self) -> None:
        if self._models.loading and self._models.next_path is not None:
            self._panel.model.show_name(self._recent.name_of(self._models.next_path))

    @Slot(object)
    def _on_budget_moved(self, loaded: ModelLoaded) -> None:
        self._panel.show_budget(with_window_measured(loaded).bill)

    @Slot(ErrorReport)
    def _on_load_failed(self, report: ErrorReport) -> None:
        present = self._models.current
        if present is not None:
            present = with_window_measured(present)
        self._panel.show_load_failed(report.text(), present)
        if self._panel.load.pending:
            self._models.live.plan(self._panel.load.edited)


def with_window_measured(loaded: ModelLoaded) -> ModelLoaded:
    """Add the window's memory to the bill, whose other lines the engine has measured."""
    measured: dict[str, float | None] = {line.name: line.measured_mib for line in loaded.bill.lines}
    bill = loaded.bill.with_measured(measured | {BillItem.WINDOW: window_and_helpers_mib()})
    return loaded.model_copy(update={"bill": bill})

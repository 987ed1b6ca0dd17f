"""Chooses, loads, unloads and remembers the model: between window, preferences and engine."""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import events
from deepseek_r1.core.errors import ErrorReport, ModelFileMissing, R1Error, TemplateUnusable
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.host.protocol import EngineState, LoadRequest, UnloadRequest
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest
from r1desk.models.live_settings import LiveSettings
from r1desk.models.refusal import Refusal, with_draft_model
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.preferences import OwnSettings, Preferences

RECENT_MODELS = 8


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """A name from the list, or a template's source and its file's name; empty for automatic."""

    template: str = ""
    file_name: str = ""


class ChosenTemplates:
    """The chat templates that were chosen for models, and the one that a load is trying."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences
        self._tried: tuple[Path, ChosenTemplate] | None = None

    def try_out(self, path: Path, chosen: ChosenTemplate) -> None:
        """Use another template for the next load of this model."""
        self._tried = (path, chosen)

    def of(self, path: Path) -> ChosenTemplate:
        """Return the choice that a load of this model uses."""
        if self._tried is not None and self._tried[0] == path:
            return self._tried[1]
        return ChosenTemplate(
            self._preferences.chat_templates.get(str(path), ""),
            self._preferences.chat_template_files.get(str(path), ""),
        )

    def accept(self, path: Path) -> None:
        """Remember the choice with which this model has loaded."""
        chosen = self.of(path)
        self._tried = None
        for known, value in (
            (self._preferences.chat_templates, chosen.template),
            (self._preferences.chat_template_files, chosen.file_name),
        ):
            known.pop(str(path), None)
            if value:
                known[str(path)] = value

    def discard(self) -> None:
        """Forget the choice with which a load has failed."""
        self._tried = None


class ModelController(QObject):
    """Lives in the main thread."""

    load_started = Signal(str)  # the path
    load_progressed = Signal(float)  # the fraction that is read, 0 to 1
    loaded = Signal(object)  # events.ModelLoaded
    load_failed = Signal(ErrorReport)
    refused = Signal(object)  # Refusal, after its `load_failed`
    unloaded = Signal()  # the model was unloaded; the next message loads it again
    gone = Signal()  # no model is loaded any more, whatever the reason
    load_planned = Signal(object)  # the Bill of the file that is being loaded
    settings_refused = Signal(object)  # the LoadSettings that stay in force
    preferences_changed = Signal()  # the preferences are to be saved

    def __init__(self, engine: EngineBridge, preferences: Preferences) -> None:
        super().__init__()
        self._engine, self._preferences = engine, preferences
        self._load: EngineRequest | None = None
        self.tasks = Tasks(self)
        self._loading_path: Path | None = None
        self._new_settings: LoadSettings | None = None  # in force once a model has loaded with them
        self.edited: LoadSettings | None = None  # the panel's, where they wait for a load
        self.templates = ChosenTemplates(preferences)
        self.current: events.ModelLoaded | None = None
        self.failure: ErrorReport | None = None  # of the last load, if it failed
        self.resting = False  # unloaded on purpose: the next message loads it again
        self.live = LiveSettings(self, engine, preferences)
        self.reduce_weights = self.live.reduce_weights
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
        """The name, for its answers, of the model that answers next."""
        return self.title_of(self.next_path) if self.next_path is not None else ""

    def title_of(self, path: Path) -> str:
        """The model's name and type as its file states them, once it was loaded; its file's."""
        starter = STARTER_NAME if path == starter_model() else path.stem
        return self._preferences.model_titles.get(str(path), starter)

    @property
    def loaded_path(self) -> Path | None:
        return Path(self.current.facts.path) if self.current is not None else None

    @property
    def facts(self) -> events.ModelFacts | None:
        return self.current.facts if self.current is not None else None

    @property
    def settings(self) -> LoadSettings:
        """The remembered settings of loading."""
        return self._preferences.load

    @property
    def context_length(self) -> int:
        """The loaded model's, else that of the next load; 0 where it is chosen by itself."""
        return self.facts.context_length if self.facts else self._preferences.load.context_length

    @property
    def budget_mib(self) -> float:
        """The memory that the loaded model, or the next one, may use with all others."""
        loaded, load = self.current, self._preferences.load
        return loaded.bill.budget_mib if loaded is not None else load.memory_budget

    @property
    def ready(self) -> bool:
        """True while a model is loaded and no other one is on its way."""
        return self.current is not None and not self.loading

    @property
    def loading(self) -> bool:
        """True between a load request and its outcome."""
        return self._loading_path is not None

    @property
    def waiting_note(self) -> str:
        """Says that a load waits for the end of the answer that is being written; else empty."""
        if not self.loading or self._engine.state is not EngineState.GENERATING:
            return ""
        if self.next_path == self.loaded_path:
            return tr("Reloads after this answer")
        return tr("Loads after this answer")

    # ---- loading ----------------------------------------------------------------------------

    def load_chosen(self) -> None:
        """Load the remembered model with the remembered settings."""
        path = self.path
        if path is None:
            self.load_failed.emit(ModelFileMissing(path="SmolLM2").report())
        else:
            self.load(path, self.settings_of(path))

    @Slot()
    def ensure_loading(self) -> None:
        """Load the remembered model unless one is loaded or loading: a question waits for it."""
        if self.current is None and not self.loading:
            self.load_chosen()

    def choose(self, path: Path) -> None:
        """Load another model; remembered once it has loaded."""
        self.load(path, self.settings_of(path))

    def use(self, path: str) -> bool:
        """Load this model unless it answers next, or none is named; False where it has gone."""
        wanted = Path(path) if path else None
        if wanted is not None and wanted != self.next_path:
            if not wanted.exists():
                return False
            self.choose(wanted)
        return True

    def settings_of(self, path: Path) -> LoadSettings:
        """Settings as the panel shows them; another model has its own context and draft model."""
        applied = self._new_settings or self._preferences.load
        shown = self.edited or applied
        if path == self.next_path:
            return shown
        own = self._preferences.own_settings.get(str(path), OwnSettings())
        edited = {key: value for key, value in shown if value != getattr(applied, key)}
        settings = applied.model_copy(update=dict(own) | edited)
        return with_draft_model(settings, settings.draft_model)

    def apply_draft(self, draft_model: Path) -> None:
        """Load the model again with a draft model, and use it."""
        settings = with_draft_model(self._preferences.load, str(draft_model))
        if settings.drafts in (DraftMode.OFF, DraftMode.LOOKUP):
            settings = settings.model_copy(update={"drafts": DraftMode.AUTO})
        self.apply(settings)

    def apply(self, settings: LoadSettings) -> None:
        """Load the model again with new settings; they are remembered once it has loaded."""
        if (path := self.next_path) is not None:
            self.load(path, settings)

    def choose_template(self, path: Path, chosen: ChosenTemplate) -> None:
        """Load a model with this chat template; remembered once it has loaded."""
        self.templates.try_out(path, chosen)
        self.load(path, self.settings_of(path))

    @Slot()
    def unload(self) -> EngineRequest | None:
        """Unload the model, unless it writes an answer; the next message loads it again.

        It counts as unloaded at once: a message sent meanwhile is answered after a new load.
        """
        if self.current is None or self.loading or self._engine.state is EngineState.GENERATING:
            return None
        request = self._engine.submit(UnloadRequest)
        self.resting = True
        self._forget_current()
        self.unloaded.emit()
        return request

    def _forget_current(self) -> None:
        if self.current is not None:
            self.current = None
            self.gone.emit()

    def keep_settings(self, **changed: int) -> None:
        """Remember settings that are in force without a reload."""
        self._preferences.load = self._preferences.load.model_copy(update=changed)
        if self._new_settings is not None:
            self._new_settings = self._new_settings.model_copy(update=changed)
        self.preferences_changed.emit()

    def load(self, path: Path, settings: LoadSettings) -> None:
        """Load a model with these settings; both are remembered once it has loaded."""
        if self._load is not None:
            self._load.cancel()
        self._loading_path, self._new_settings = path, settings
        self.resting, self.failure = False, None
        self.load_started.emit(str(path))
        self._load = self._engine.submit(
            LoadRequest,
            path=str(path),
            settings=settings,
            window_mib=window_and_helpers_mib(),
            prompt_cache=self._engine.prompt_cache,
            chat_template=self.templates.of(path).template,
        )
        self._follow(self._load, path, settings)

    @newest_task
    async def _follow(self, load: EngineRequest, path: Path, settings: LoadSettings) -> None:
        try:
            async for event in load:
                if isinstance(event, events.LoadProgress):
                    self._forget_current()  # the engine has unloaded the model before it
                    if event.bill is not None:
                        self.load_planned.emit(event.bill)
                    self.load_progressed.emit(event.fraction)
                elif isinstance(event, events.ModelLoaded):
                    self._load = None
        except R1Error as refused:
            self._fail(path, settings, refused.report())

    @Slot(object)
    def _on_loaded(self, loaded: events.ModelLoaded) -> None:
        loaded = self.take_bill(loaded, loaded.bill)
        if self._load is not None:
            return  # another one was chosen at the last moment, and is still on its way
        self._loading_path = None
        self._preferences.load = self._new_settings or self._preferences.load
        self._new_settings = None
        self.templates.accept(Path(loaded.facts.path))
        self._remember(Path(loaded.facts.path), loaded.facts.title)
        self.loaded.emit(loaded)

    def take_bill(self, loaded: events.ModelLoaded, bill: events.Bill) -> events.ModelLoaded:
        """This is the loaded model, with this bill."""
        bill = self._engine.bills.with_disk_speed(bill)
        self.current = loaded = loaded.model_copy(update={"bill": bill})
        return loaded

    def refuse_settings(self) -> None:
        """Say that the settings stay as they are remembered."""
        self.settings_refused.emit(self._preferences.load)

    def _remember(self, path: Path, title: str) -> None:
        """Remember the model, and what another one needs in another way."""
        p, starter = self._preferences, starter_model()
        p.model_path = None if path == starter else str(path)
        if path != starter:
            others = [known for known in p.recent_models if known != str(path)]
            p.recent_models = [str(path), *others][:RECENT_MODELS]
            titles = p.model_titles | {str(path): title}
            p.model_titles = {known: titles[known] for known in p.recent_models if known in titles}
        own = {key: getattr(p.load, key) for key in OwnSettings.model_fields}
        p.own_settings[str(path)] = OwnSettings(**own)
        self.preferences_changed.emit()

    def _fail(self, path: Path, settings: LoadSettings, report: ErrorReport) -> None:
        self._loading_path = None
        self._load = None
        is_own = not self.templates.of(path).template
        self.templates.discard()
        self.failure = report
        self.load_failed.emit(report)
        self._new_settings = None
        if settings != self._preferences.load:
            self.refuse_settings()
        own_template = report.code == TemplateUnusable.__name__ and is_own
        self.refused.emit(Refusal(path, settings, report, own_template))

    @Slot(object, str)
    def _on_state(self, state: EngineState, _detail: str) -> None:
        """A refused file leaves the present model in the engine; an ended engine has none."""
        if state in (EngineState.STOPPED, EngineState.READY, EngineState.FAILED):
            self._forget_current()

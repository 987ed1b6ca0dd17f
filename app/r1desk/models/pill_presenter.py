"""The models at hand, and the pill in the header that lists them and shows the present one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.installed import model_files, resolved
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.events import BudgetChanged, Event, GenerationFinished, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_name, short_names, title
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.memory.forecast import format_fit, format_rate
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.models.forecast_service import ForecastService
from r1desk.models.widgets.model_pill import ModelPill, PillState, RecentModel
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.preferences import Preferences


class RecentModels(QObject):
    """Has the files' headers read after each load."""

    changed = Signal()  # `items` is another tuple

    def __init__(
        self, models: ModelController, preferences: Preferences, forecasts: ForecastService
    ) -> None:
        super().__init__()
        self._models, self._preferences, self.forecasts = models, preferences, forecasts
        self.tasks = Tasks(self)
        self._titles: dict[Path, str] = {}  # as the files name themselves
        self.items: tuple[RecentModel, ...] = ()
        for signal in (models.load_started, models.loaded, models.load_failed, models.gone):
            signal.connect(self.refresh)
        self._show(tuple(RecentModel(path, self._title_of(path)) for path in self._paths()))

    def _paths(self) -> tuple[Path, ...]:
        recent = map(Path, self._preferences.recent_models)
        known = (starter_model(), *recent, self._models.next_path)
        return tuple(dict.fromkeys(path for path in known if path is not None))

    def _title_of(self, path: Path) -> str:
        return self._titles.get(path) or self._models.title_of(path)

    def name_of(self, path: Path) -> str:
        """A short name that no other model at hand has."""
        known = next((each.name for each in self.items if each.path == path), "")
        return known or short_name(self._title_of(path))

    @Slot()
    def refresh(self) -> None:
        """Read the files again; `changed` follows."""
        models = self._models
        if models.current is not None:
            self._titles[Path(models.current.facts.path)] = models.current.facts.title
        present = models.next_path if models.loading else models.loaded_path
        before = {each.path: each for each in self.items}  # until they are read again
        known = tuple(
            replace(
                before.get(path, RecentModel(path, "")),
                title=self._title_of(path),
                current=path == present,
            )
            for path in self._paths()
        )
        self._show(known)
        self._read(known)

    @newest_task
    async def _read(self, known: tuple[RecentModel, ...]) -> None:
        async for items in self.forecasts.ask(_read_all, known):
            self._titles |= {each.path: each.title for each in items}
            self._show(items)

    def _show(self, items: tuple[RecentModel, ...]) -> None:
        names = short_names([(each.title, each.path.stem, str(each.path)) for each in items])
        items = tuple(replace(each, name=name) for each, name in zip(items, names, strict=True))
        if items != self.items:
            self.items = items
            self.changed.emit()


def _read_all(
    forecaster: Forecaster, known: tuple[RecentModel, ...]
) -> Iterator[tuple[RecentModel, ...]]:
    """Read the headers of these; files of our folders that were never loaded are named only."""
    paths = {resolved(each.path) for each in known}
    files = (path for folder in models_dirs() for path in model_files(folder))
    others = [RecentModel(path, path.stem) for path in files if resolved(path) not in paths]
    yield (*known, *others)
    yield (*(_read(each, forecaster) for each in known), *others)


def _read(model: RecentModel, forecaster: Forecaster) -> RecentModel:
    """Add the name in the file and the fit; a file that cannot be read counts as missing."""
    try:
        header = forecaster.headers.read_header(model.path)
    except (ModelRefused, ValueError):  # ValueError: no system has such a name
        return replace(model, missing=True)
    named, fit = title(header.name, header.quantisation), format_fit(forecaster.forecast(header))
    return replace(model, title=named, fit=fit, thinks=header.thinks)


class PillPresenter(Presenter):
    """Shows name, state and speed of the model, and loads another one of the pill's menu."""

    def __init__(
        self, pill: ModelPill, models: ModelController, recent: RecentModels, engine: EngineBridge
    ) -> None:
        super().__init__(pill)
        self._pill, self._models, self._recent = pill, models, recent
        self._tok_s = 0.0  # of the last answer, or expected from the disk
        pill.model_chosen.connect(models.choose)
        recent.changed.connect(self._on_recent_changed)
        models.load_started.connect(self._on_load_started)
        models.load_progressed.connect(self._on_load_progressed)
        models.loaded.connect(self._on_loaded)
        models.load_failed.connect(self._show)
        models.unloaded.connect(self._show)
        engine.event_received.connect(self._on_event)
        engine.state_changed.connect(self._show)
        self._on_recent_changed()
        self._show()

    @Slot()
    def _on_recent_changed(self) -> None:
        self._pill.models = self._recent.items
        if self._models.loading:
            self._on_load_started()

    @Slot()
    def _on_load_started(self) -> None:
        self._show_load(self._models.waiting_note or tr("loading"))

    @Slot(float)
    def _on_load_progressed(self, fraction: float) -> None:
        self._show_load(tr("{percent} %", percent=round(100 * fraction)))

    def _show_load(self, note: str) -> None:
        path = self._models.next_path
        if path is not None:
            self._show_state(path, PillState.LOADING, note)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        self._tok_s = loaded.bill.disk_tok_s
        self._show()

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        loaded, before = self._models.current, self._tok_s
        if isinstance(event, GenerationFinished) and loaded is not None:
            self._tok_s = loaded.usual_tok_s(event.stats) or before
        elif isinstance(event, BudgetChanged) and event.bill.streams:
            self._tok_s = event.bill.disk_tok_s
        if self._tok_s != before:
            self._show()

    @Slot()
    def _show(self) -> None:
        loaded = self._models.current
        if self._models.loading:
            self._on_load_started()  # its progress follows
            return
        if loaded is None and self._models.resting and self._models.path is not None:
            self._show_state(self._models.path, PillState.RESTING, tr("unloaded"))
            return
        if loaded is None:
            self._show_state(self._models.path, PillState.NONE, tr("not loaded"))
            return
        state = PillState.STREAMING if loaded.bill.streams else PillState.READY
        note = tr("{rate} tok/s", rate=format_rate(self._tok_s)) if self._tok_s else ""
        self._show_state(Path(loaded.facts.path), state, note)

    def _show_state(self, path: Path | None, state: PillState, note: str) -> None:
        name = self._recent.name_of(path) if path is not None else ""
        self._pill.show_state(name, state, note, path.name if path is not None else "")

"""The models at hand, and the pill in the header that lists them and shows the present one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.installed import model_files, resolved
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.errors import ModelFileMissing, ModelRefused
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_name, short_names
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.memory.forecast import format_rate
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.models.forecast_service import ForecastService
from r1desk.models.widgets.model_pill import ModelPill, PillState
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.preferences import Preferences


class RecentModels(QObject):
    """Has the files' headers read after each load, and their forecasts made after each answer."""

    changed = Signal()  # `items` or their names are others

    def __init__(
        self, models: ModelController, preferences: Preferences, forecasts: ForecastService
    ) -> None:
        super().__init__()
        self._models, self._preferences, self.forecasts = models, preferences, forecasts
        self.tasks = Tasks(self)
        self.items: tuple[ModelFile, ...] = ()
        self.names: dict[Path, str] = {}  # short, and no other one's
        for signal in (models.load_started, models.loaded, models.load_failed, models.gone):
            signal.connect(self.refresh)
        forecasts.rate_stored.connect(self.refresh)
        self._show(self._known())

    def _known(self) -> tuple[ModelFile, ...]:
        """The files as they were read last, those that never were under their remembered names."""
        recent, before = map(Path, self._preferences.recent_models), self.items
        paths = dict.fromkeys((starter_model(), *recent, self._models.next_path))
        known = {each.path: each for each in before if each.header is not None}
        return tuple(
            known.get(path) or ModelFile(self._models.title_of(path), path.name, path=path)
            for path in paths
            if path is not None
        )

    def find(self, path: Path) -> ModelFile | None:
        """The file at a path; None unless it is at hand."""
        return next((each for each in self.items if each.path == path), None)

    def name_of(self, path: Path) -> str:
        """A short name that no other model at hand has."""
        return self.names.get(path) or short_name(self._models.title_of(path))

    @Slot()
    def refresh(self) -> None:
        """Read the files again; `changed` follows."""
        self._show(self._known())
        self._read()

    @newest_task
    async def _read(self) -> None:
        async for items in self.forecasts.ask(_read_all, self._known()):
            self._show(items)

    def _show(self, items: tuple[ModelFile, ...]) -> None:
        paths = [each.path for each in items if each.path is not None]
        texts = [(each.title, Path(each.file).stem, str(each.path)) for each in items]
        self.items, self.names = items, dict(zip(paths, short_names(texts), strict=True))
        self.changed.emit()


def _read_all(
    forecaster: Forecaster, known: tuple[ModelFile, ...]
) -> Iterator[tuple[ModelFile, ...]]:
    """Read the headers of these; files of our folders that were never loaded are named only."""
    paths = {resolved(each.path) for each in known if each.path is not None}
    files = (path for folder in models_dirs() for path in model_files(folder))
    others = [
        ModelFile(path.stem, path.name, path=path) for path in files if resolved(path) not in paths
    ]
    yield (*known, *others)
    yield (*forecaster.add_to(_read(each, forecaster) for each in known), *others)


def _read(file: ModelFile, forecaster: Forecaster) -> ModelFile:
    """Add the header, and the name in it; a file that cannot be read counts as missing."""
    try:
        header = forecaster.headers.read_header(file.path or Path())
    except ModelRefused as refused:
        return replace(file, error=refused.report())
    except ValueError:  # no system has such a name
        return replace(file, error=ModelFileMissing(path=str(file.path)).report())
    return replace(
        file, name=header.name, quantisation=header.quantisation, header=header, error=None
    )


class PillPresenter(Presenter):
    """Shows name, state and speed of the model, and loads another one of the pill's menu."""

    def __init__(
        self, pill: ModelPill, models: ModelController, recent: RecentModels, engine: EngineBridge
    ) -> None:
        super().__init__(pill)
        self._pill, self._models, self._recent = pill, models, recent
        self._progress = ""  # of a load
        pill.model_chosen.connect(models.choose)
        models.load_started.connect(self._on_load_started)
        models.load_progressed.connect(self._on_load_progressed)
        others = (models.loaded, models.load_failed, models.unloaded, models.live.budget_moved)
        for signal in (recent.changed, engine.state_changed, *others):
            signal.connect(self._show)
        self._show()

    @Slot()
    def _on_load_started(self) -> None:
        self._progress = ""
        self._show()

    @Slot(float)
    def _on_load_progressed(self, fraction: float) -> None:
        self._progress = tr("{percent} %", percent=round(100 * fraction))
        self._show()

    @Slot()
    def _show(self) -> None:
        models, loaded, path = self._models, self._models.current, self._models.next_path
        state, note = PillState.NONE, tr("not loaded")
        if models.loading:
            state = PillState.LOADING
            note = models.waiting_note or self._progress or tr("loading")
        elif loaded is not None:
            path, tok_s = Path(loaded.facts.path), self._rate_of(loaded)
            state = PillState.STREAMING if loaded.bill.streams else PillState.READY
            note = tr("{rate} tok/s", rate=format_rate(tok_s)) if tok_s else ""
        elif models.resting:
            state, note = PillState.RESTING, tr("unloaded")
        name = self._recent.name_of(path) if path is not None else ""
        self._pill.show_state(name, state, note, path.name if path is not None else "")
        current = path if models.loading or loaded is not None else None
        self._pill.show_models(self._recent.items, self._recent.names, current)

    def _rate_of(self, loaded: ModelLoaded) -> float:
        """Tokens a second of answers here, as every list has them; else those expected."""
        file = self._recent.find(Path(loaded.facts.path))
        if file is not None and file.forecast is not None and file.forecast.measured:
            return file.forecast.tok_s
        return loaded.bill.disk_tok_s

"""Lists the models at hand: the starter model and those opened lately, with name and fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from r1desk.models.controller import ModelController
from r1desk.models.forecast.forecast import format_fit
from r1desk.models.forecast.service import Forecaster, ForecastService
from r1desk.models.widgets.model_pill import RecentModel
from r1desk.platform.background_thread import BackgroundAnswer
from r1desk.preferences import Preferences


class RecentModels(QObject):
    """Has the files' headers read after each load.

    Signals:
        changed: `items` is another tuple.
    """

    changed = Signal()

    def __init__(
        self, models: ModelController, preferences: Preferences, forecasts: ForecastService
    ) -> None:
        super().__init__()
        self._models = models
        self._preferences = preferences
        self.forecasts = forecasts
        self._reading: BackgroundAnswer | None = None
        self._names: dict[Path, str] = {}  # as the files call themselves
        self.items: tuple[RecentModel, ...] = ()
        models.loaded.connect(self.refresh)
        models.load_failed.connect(self.refresh)
        self._show(tuple(RecentModel(path, self._name(path)) for path in self._paths()))

    def _paths(self) -> tuple[Path, ...]:
        starter = starter_model()
        first = () if starter is None else (starter,)
        return (*first, *(Path(path) for path in self._preferences.recent_models))

    def _name(self, path: Path) -> str:
        """The name in the file, once it was read, as the panel shows it for a loaded model."""
        known = STARTER_NAME if path == starter_model() else path.stem
        return self._names.get(path, known)

    @Slot()
    def refresh(self) -> None:
        """Read the files again; `changed` follows."""
        current = self._models.current
        loaded = Path(current.facts.path) if current is not None else None
        if current is not None and loaded is not None:
            self._names[loaded] = current.facts.name
        fits = {each.path: each.fit for each in self.items}  # until they are read again
        known = tuple(
            RecentModel(path, self._name(path), fits.get(path, ""), current=path == loaded)
            for path in self._paths()
        )
        self._show(known)
        if self._reading is not None:
            self._reading.abandon()
        self._reading = self.forecasts.ask(partial(_read_all, known), self._on_read)

    @Slot(tuple)
    def _on_read(self, items: tuple[RecentModel, ...]) -> None:
        self._names |= {each.path: each.name for each in items}
        self._show(items)

    def _show(self, items: tuple[RecentModel, ...]) -> None:
        if items != self.items:
            self.items = items
            self.changed.emit()


def _read_all(
    known: tuple[RecentModel, ...], forecaster: Forecaster
) -> Iterator[tuple[RecentModel, ...]]:
    yield tuple(_read(each, forecaster) for each in known)


def _read(model: RecentModel, forecaster: Forecaster) -> RecentModel:
    """Add the name in the file and the fit; a file that cannot be read counts as missing."""
    try:
        header = forecaster.headers.read_header(model.path)
    except (ModelRefused, ValueError):  # ValueError: no system has such a name
        return replace(model, missing=True)
    return replace(model, name=header.name, fit=format_fit(forecaster.forecast(header)))

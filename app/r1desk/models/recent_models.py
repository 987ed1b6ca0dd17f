"""Lists the models at hand: the starter model and those opened lately, with name and fit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.plan import ProcessOverhead
from r1desk.models.controller import ModelController
from r1desk.models.fit import MachineSpeed, estimate_fit, format_fit
from r1desk.models.machine_speed import known_speed
from r1desk.models.recent_model import RecentModel
from r1desk.models.recommendation import WINDOW_MAX_MIB
from r1desk.platform.background_thread import in_background
from r1desk.preferences import Preferences


class RecentModels(QObject):
    """Has the files' headers read by a child process, after each load.

    Signals:
        changed: `items` is another tuple.
    """

    changed = Signal()
    _read = Signal(tuple)

    def __init__(self, models: ModelController, preferences: Preferences) -> None:
        super().__init__()
        self._models = models
        self._preferences = preferences
        self._names: dict[Path, str] = {}  # as the files call themselves
        self._cache: dict[Hashable, tuple[str, str]] = {}  # name and fit; the threads' own
        self.items: tuple[RecentModel, ...] = ()
        self._read.connect(self._on_read)
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
        known = tuple(
            RecentModel(path, self._name(path), current=path == loaded) for path in self._paths()
        )
        self._show(known)
        in_background(self, partial(self._read_all, known, self._preferences.load))

    def _read_all(self, known: tuple[RecentModel, ...], settings: LoadSettings) -> None:
        with HeaderProcess() as process:
            self._read.emit(tuple(self._read_model(each, settings, process) for each in known))

    def _read_model(
        self, model: RecentModel, settings: LoadSettings, process: HeaderProcess
    ) -> RecentModel:
        """Add the name in the file and the fit; a file that cannot be read counts as missing.

        A header takes a third of a second: each is read once for the same settings.
        """
        speed = known_speed()
        try:
            key = (model.path, model.path.stat().st_mtime_ns, settings, speed)
            if key not in self._cache:
                self._cache[key] = _name_and_fit(process.read_header(model.path), settings, speed)
        except (ModelRefused, OSError, ValueError):  # ValueError: no system has such a name
            return replace(model, missing=True)
        name, fit = self._cache[key]
        return replace(model, name=name, fit=fit)

    @Slot(tuple)
    def _on_read(self, items: tuple[RecentModel, ...]) -> None:
        self._names |= {each.path: each.name for each in items}
        self._show(items)

    def _show(self, items: tuple[RecentModel, ...]) -> None:
        if items != self.items:
            self.items = items
            self.changed.emit()


def _name_and_fit(
    header: ModelHeader, settings: LoadSettings, speed: MachineSpeed
) -> tuple[str, str]:
    overhead = ProcessOverhead(window_mib=WINDOW_MAX_MIB)
    estimate = estimate_fit(header, settings, overhead, speed, memory_reading().available_mib)
    return header.name, format_fit(estimate)

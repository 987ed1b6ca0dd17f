"""Connects the pill in the header with the model controller and the engine."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot

from deepseek_r1.core.events import Event, GenerationFinished, ModelLoaded
from deepseek_r1.core.i18n import tr
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.models.forecast.forecast import format_rate
from r1desk.models.presenter import ModelPresenter
from r1desk.models.recent_models import RecentModels
from r1desk.models.widgets.model_pill import ModelPill, PillState


class PillPresenter(Presenter):
    """Shows name, state and speed of the model, and loads another one of the pill's menu."""

    def __init__(
        self,
        pill: ModelPill,
        *,
        models: ModelController,
        recent: RecentModels,
        model_presenter: ModelPresenter,
        engine: EngineBridge,
    ) -> None:
        super().__init__(pill)
        self._pill = pill
        self._models = models
        self._recent = recent
        self._loading_name = ""
        self._tok_s = 0.0  # of the last answer, or expected from the disk
        pill.choose_requested.connect(model_presenter.choose)
        pill.model_chosen.connect(models.choose)
        recent.changed.connect(self._on_recent_changed)
        models.load_started.connect(self._on_load_started)
        models.load_progressed.connect(self._on_load_progressed)
        models.loaded.connect(self._on_loaded)
        models.load_failed.connect(self._show)
        models.unloaded.connect(self._show)
        engine.event.connect(self._on_event)
        engine.state_changed.connect(self._show)
        self._on_recent_changed()
        self._show()

    @Slot()
    def _on_recent_changed(self) -> None:
        self._pill.show_models(self._recent.items)

    @Slot(str)
    def _on_load_started(self, path: str) -> None:
        self._loading_name = self._name_of(Path(path))
        note = tr("waits for the answer") if self._models.load_waits else tr("loading")
        self._pill.show_state(self._loading_name, PillState.LOADING, note)

    def _name_of(self, path: Path | None) -> str:
        names = {model.path: model.name for model in self._recent.items}
        return names.get(path, path.stem) if path is not None else ""

    @Slot(float)
    def _on_load_progressed(self, fraction: float) -> None:
        note = tr("{percent} %", percent=round(100 * fraction))
        self._pill.show_state(self._loading_name, PillState.LOADING, note)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        self._tok_s = loaded.bill.disk_tok_s
        self._show()

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        if isinstance(event, GenerationFinished) and event.stats.decode_tok_s:
            self._tok_s = event.stats.decode_tok_s
            self._show()

    @Slot()
    def _show(self) -> None:
        loaded = self._models.current
        if self._models.loading:
            return  # the progress is shown until the load ends
        if loaded is None and self._models.resting:
            self._pill.show_state(
                self._name_of(self._models.path), PillState.RESTING, tr("unloaded")
            )
            return
        if loaded is None:
            self._pill.show_state(self._models.name, PillState.NONE, tr("not loaded"))
            return
        state = PillState.STREAMING if loaded.bill.streams else PillState.READY
        note = tr("{rate} tok/s", rate=format_rate(self._tok_s)) if self._tok_s else ""
        names = {model.path: model.name for model in self._recent.items}
        name = names.get(Path(loaded.facts.path), loaded.facts.name)
        self._pill.show_state(name, state, note)

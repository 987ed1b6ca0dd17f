"""The wires between the model controller and the performance panel."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from r1desk.dialogs.notice_bar import Notice
from r1desk.library.chooser import ModelChooser
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController, WayOut, window_mib
from r1desk.preferences import Preferences


class ModelWires(QObject):
    """Shows the model and its bill, and carries changed settings to the engine."""

    chooser_opened = Signal(object)  # ModelChooser

    def __init__(
        self,
        window: MainWindow,
        models: ModelController,
        preferences: Preferences,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._models = models
        self._preferences = preferences
        panel = window.panel
        panel.set_load_settings(preferences.load)
        panel.set_sampling(preferences.sampling)
        panel.set_system_prompt(preferences.system_prompt)
        panel.plan_wanted.connect(models.plan)
        panel.settings_applied.connect(self._on_applied)
        panel.threads_changed.connect(models.set_threads)
        panel.budget_changed.connect(models.set_budget)
        panel.threads.measure_requested.connect(models.measure_threads)
        models.threads_measured.connect(panel.show_threads)
        models.measuring_failed.connect(self._on_measuring_failed)
        panel.choose_model_requested.connect(self.choose)
        panel.model_chosen.connect(self._on_path_chosen)
        window.models_requested.connect(self.choose)
        window.model_dropped.connect(self._on_path_chosen)
        models.planned.connect(panel.show_plan)
        models.plan_failed.connect(self._on_plan_failed)
        models.load_started.connect(self._on_load_started)
        models.load_progressed.connect(panel.show_load_progress)
        models.loaded.connect(self._on_loaded)
        models.budget_moved.connect(self._on_budget_moved)
        models.load_failed.connect(self._on_load_failed)
        models.way_out_found.connect(self._on_way_out)
        models.settings_refused.connect(panel.restore_load_settings)
        if models.current is not None:
            self._on_loaded(models.current)

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()

    @Slot(str)
    def _on_load_started(self, path: str) -> None:
        self._window.panel.show_loading(Path(path).stem)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        panel = self._window.panel
        if panel.load.applied != self._preferences.load:  # they were not chosen in the panel
            panel.set_load_settings(self._preferences.load)
        panel.show_model(with_window_measured(loaded))
        panel.set_known_models(self._known())
        if loaded.bill.streams and not loaded.bill.disk_mib_s:
            self._models.plan(self._preferences.load)  # what more memory would buy is told by it

    @Slot(object)
    def _on_budget_moved(self, loaded: ModelLoaded) -> None:
        self._window.panel.show_budget(with_window_measured(loaded).bill)

    def _known(self) -> list[tuple[str, str]]:
        """The starter model and those opened lately, for a quick change."""
        starter = starter_model()
        known = [(STARTER_NAME, str(starter))] if starter is not None else []
        return known + [(Path(path).stem, path) for path in self._preferences.recent_models]

    @Slot(ErrorReport)
    def _on_load_failed(self, report: ErrorReport) -> None:
        self._window.panel.show_load_failed(report.text(), self._models.current)

    @Slot(object)
    def _on_way_out(self, way: WayOut) -> None:
        """The refusal once more, now with a button for what it advises."""
        notice = Notice(
            way.refused.text(),
            action=tr("Load it this way"),
            on_action=lambda: self._models.take_way_out(way),
        )
        self._window.notices.show_notice(notice)

    @Slot(ErrorReport)
    def _on_plan_failed(self, report: ErrorReport) -> None:
        self._window.panel.show_plan_failed(report.text())

    @Slot(ErrorReport)
    def _on_measuring_failed(self, report: ErrorReport) -> None:
        self._window.panel.threads.show_failed(report.text())

    @Slot(object)
    def _on_applied(self, settings: LoadSettings) -> None:
        self._models.apply(settings)

    @Slot(str)
    def _on_path_chosen(self, path: str) -> None:
        self._models.choose(Path(path))

    @Slot()
    def choose(self) -> None:
        """Let the user pick a model: one that is here, a file, or one of the catalogue."""
        p = self._preferences
        chooser = ModelChooser(p.recent_models, self._models.path, p.load, self._window)
        chooser.chosen.connect(self._models.choose)
        chooser.finished.connect(chooser.deleteLater)
        self.chooser_opened.emit(chooser)
        chooser.open()


def with_window_measured(loaded: ModelLoaded) -> ModelLoaded:
    """The engine measured its own lines of the bill; the window is measured here."""
    lines = tuple(
        line.model_copy(update={"measured_mib": window_mib()}) if line.name == "window" else line
        for line in loaded.bill.lines
    )
    return loaded.model_copy(update={"bill": loaded.bill.model_copy(update={"lines": lines})})

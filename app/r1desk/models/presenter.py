"""Connects models and downloads with the chooser, the notices, the lists and the templates."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMessageBox

from deepseek_r1.catalogue.download_spec import other_source
from deepseek_r1.core.errors import BudgetTooSmall, ErrorReport, TemplateFileUnusable
from deepseek_r1.core.events import ModelLoaded, TemplateSource
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from deepseek_r1.formats.template_file import FAMILY, read_template_file
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.composer.flat_buttons import TemplateButton
from r1desk.chat.messages.view import ChatView
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.features import Presenter
from r1desk.models.controller import ChosenTemplate, ModelController
from r1desk.models.downloads import Download, Downloads
from r1desk.models.forecast_service import ForecastService
from r1desk.models.refusal import Refusal, WaysOut, memory_ways, plain_way
from r1desk.models.widgets.download_list import DownloadAction, DownloadList
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, later_turn, newest_task, report_of, task
from r1desk.preferences import Preferences
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.file_dialog import chosen_file, file_dialog
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar


class ModelsWindow(QMainWindow):
    """The main window, as the models use it."""

    model_dropped = Signal(Path)  # of a model's file or folder
    chat: ChatView
    composer: Composer
    downloads: DownloadList
    model_pill: ModelPill
    models_action: QAction
    notices: NoticeBar


class ModelPresenter(Presenter):
    """Lets the user choose a model, and offers what helps where one was refused."""

    def __init__(
        self,
        window: ModelsWindow,
        models: ModelController,
        downloads: Downloads,
        preferences: Preferences,
        *,
        forecasts: ForecastService,
    ) -> None:
        super().__init__(window)
        self._window, self._notices = window, window.notices
        self._models, self._preferences, self.forecasts = models, preferences, forecasts
        self._downloads = downloads
        self._refusal = ""  # the text of the last refusal, while it may be on screen
        self.tasks = Tasks(self)
        models.refused.connect(self._on_refused)
        models.load_failed.connect(self._on_load_failed)
        models.load_started.connect(self._on_load_started)

    @Slot(ErrorReport)
    def _on_load_failed(self, report: ErrorReport) -> None:
        self._refusal = report.text()

    @Slot(object)
    def _on_refused(self, refusal: Refusal) -> None:
        """Look for what helps."""
        if refusal.report.code == BudgetTooSmall.__name__:
            loaded = self._models.current
            freed_mib = loaded.bill.total_mib if loaded is not None else 0.0
            self._look_for_ways(refusal, freed_mib)
        elif refusal.own_template:  # it can be loaded as one without a template
            load = partial(self._models.choose_template, refusal.path, ChosenTemplate(FAMILY))
            ways = {tr("Use another template"): load}
            self._notices.show_notice(Notice(self._refusal, actions=ways))
        elif (way := plain_way(refusal)) is not None:
            self._show_ways(way)

    @newest_task
    async def _look_for_ways(self, refusal: Refusal, freed_mib: float) -> None:
        async for ways in self.forecasts.ask(memory_ways, refusal, freed_mib):
            self._show_ways(ways)

    def _show_ways(self, found: WaysOut) -> None:
        """Show the refusal again, with a button for each way out."""
        self._notices.withdraw(self._refusal)
        self._refusal = found.text
        load = partial(self._models.load, found.path)
        ways = {label: partial(load, settings) for label, settings in found.ways.items()}
        self._notices.show_notice(Notice(found.text, actions=ways))

    @Slot(str)
    def _on_load_started(self, _path: str) -> None:
        """Withdraw the refusal of the load before."""
        self.tasks.cancel_all()
        self._notices.withdraw(self._refusal)
        self._refusal = ""

    @task
    async def choose(self) -> None:
        """Let the user pick a model: an installed one, a file, or one of the catalogue.

        The dialog's code, its widgets and its painting are a turn of the loop each.
        """
        from r1desk.models.chooser_presenter import ChooserPresenter  # noqa: PLC0415 - not at start
        from r1desk.models.widgets.chooser import ModelChooser  # noqa: PLC0415 - not at start

        await later_turn(self)
        if self._window.findChild(ModelChooser) is not None:
            return  # the keys were pressed twice, before it was there
        chooser = ModelChooser(self._preferences.load.memory_budget, self._window)
        recent = self._preferences.recent_models
        ChooserPresenter(chooser, self._models, self._downloads, self.forecasts, recent)
        chooser.finished.connect(chooser.deleteLater)
        chooser.destroyed.connect(lambda: QTimer.singleShot(0, return_free_memory))
        await later_turn(chooser)
        chooser.open()


class DownloadPresenter(Presenter):
    """Shows the downloads, carries out their buttons, and loads a model that was waited for."""

    def __init__(
        self,
        window: ModelsWindow,
        downloads: Downloads,
        models: ModelController,
        chat: ChatController,
        engine: EngineBridge,
    ) -> None:
        super().__init__(window)
        self._window, self._list = window, window.downloads
        self._downloads, self._models = downloads, models
        self._chat, self._engine = chat, engine
        self._list.requested.connect(self._on_requested)
        downloads.changed.connect(self._on_changed)
        downloads.finished.connect(self._on_finished)
        self._on_changed()

    @Slot(object, str)
    def _on_requested(self, action: DownloadAction, file: str) -> None:
        {
            DownloadAction.LOAD: self._load,
            DownloadAction.PAUSE: self._downloads.pause,
            DownloadAction.RESUME: self._downloads.resume,
            DownloadAction.OTHER_SOURCE: self._download_from_other,
            DownloadAction.DELETE: self._ask_to_delete,
            DownloadAction.DISMISS: self._downloads.dismiss,
        }[action](file)

    @Slot()
    def _on_changed(self) -> None:
        self._list.show_downloads(self._downloads.items)

    def _find(self, file: str) -> Download | None:
        return next((each for each in self._downloads.items if each.spec.file == file), None)

    def _load(self, file: str) -> None:
        download = self._find(file)
        if download is not None and download.path is not None:
            self._models.choose(download.path)
            self._downloads.dismiss(file)

    @Slot(object)
    def _on_finished(self, download: Download) -> None:
        """Load a model that was requested for a chat, unless that would cut off an answer."""
        if download.load_after and not self._chat.busy and self._engine.comparison is None:
            self._load(download.spec.file)

    def _download_from_other(self, file: str) -> None:
        """Try the next host; the part that is here is used where the host's file is the same."""
        download = self._find(file)
        if download is not None and (other := other_source(download.spec)) is not None:
            _host, spec = other
            self._downloads.start(spec, load_after=download.load_after)

    def _ask_to_delete(self, file: str) -> None:
        """Ask first: hours of downloading must not be lost by one click."""
        download = self._find(file)
        done = download.part_bytes if download is not None else 0
        if not done:
            self._downloads.delete(file)
            return
        text = tr("Delete the {amount} already downloaded?", amount=format_size(done))
        role, delete = QMessageBox.ButtonRole.DestructiveRole, partial(self._downloads.delete, file)
        ask(self._window, text, tr("“Pause” keeps them."), (tr("Delete"), role, delete))


class TemplatePresenter(Presenter):
    """Connects the button below the composer with the model's controller."""

    def __init__(self, button: TemplateButton, notices: NoticeBar, models: ModelController) -> None:
        super().__init__(button)
        self._button, self._notices, self._models = button, notices, models
        self.tasks = Tasks(self, self._refuse)
        button.template_chosen.connect(self._on_name_chosen)
        button.file_action.triggered.connect(self._on_file_requested)
        models.loaded.connect(self._on_loaded)
        if models.current is not None:
            self._show(models.current)

    @Slot(str)
    def _on_name_chosen(self, name: str) -> None:
        if self._models.path is not None:
            self._models.choose_template(self._models.path, ChosenTemplate(name))

    @newest_task
    async def _on_file_requested(self) -> None:
        filters = [tr("Chat templates (*.jinja *.jinja2 *.j2 *.txt)"), tr("All files (*)")]
        dialog = file_dialog(self._button.window(), tr("Open a chat template"), filters)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        file = await chosen_file(dialog)
        if not file or (model := self._models.path) is None:
            return
        template = await ask_in_background(_read_template, Path(file))
        if model == self._models.path:  # else the user has chosen another one meanwhile
            self._models.choose_template(model, template)

    def _refuse(self, error: Exception) -> None:
        self._notices.show_notice(Notice(report_of(error).text()))

    def _show(self, loaded: ModelLoaded) -> None:
        chosen = self._models.templates.of(Path(loaded.facts.path))
        self._button.show_template(loaded.facts.template, chosen.file_name)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        used, name = loaded.facts.template, loaded.facts.name
        self._show(loaded)
        if used.source is TemplateSource.FAMILY:
            text = tr(
                "{name} has no chat template. The one of its family is used: {template}.",
                name=name,
                template=used.name,
            )
        elif used.source is TemplateSource.COMPLETION:
            text = tr(
                "{name} has no chat template, so it only continues your text. If it was made "
                "for chatting, choose a template below the message box.",
                name=name,
            )
        else:
            return
        self._notices.show_notice(Notice(text, Level.INFO))


def _read_template(file: Path) -> ChosenTemplate:
    """Read a template's file. The engine's process compiles it.

    Not for the main thread, since the drive may be slow. Raises TemplateFileUnusable.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise TemplateFileUnusable(path=str(file), detail=tr("It is not a file."))
    return ChosenTemplate(read_template_file(file), file.name)

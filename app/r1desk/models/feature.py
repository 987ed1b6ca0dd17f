"""Choosing, downloading, loading and unloading models."""

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Slot

from deepseek_r1.catalogue.errors import FolderUnusable
from deepseek_r1.catalogue.file_rules import require_usable
from deepseek_r1.core.models_folders import choose_models_dir, default_models_dir, user_models_dir
from deepseek_r1.host.protocol import EngineState
from r1desk.chat.feature import ChatFeature
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Downloads
from r1desk.models.first_start_presenter import FirstStartPresenter
from r1desk.models.forecast_service import ForecastService
from r1desk.models.pill_presenter import PillPresenter, RecentModels
from r1desk.models.presenter import (
    DownloadPresenter,
    ModelPresenter,
    ModelsWindow,
    TemplatePresenter,
)
from r1desk.platform.background_thread import ask_in_background

MINUTE_MS = 60_000
CHOICES_MIN = (0, 5, 15, 30, 60)  # 0 is never


class IdleUnload(QObject):
    """Unloads the model when it was not used for some minutes, if that is set.

    A load, an answer and an opened conversation count as use.
    """

    def __init__(self, models: ModelController, services: Services) -> None:
        super().__init__(models)
        self._models = models
        self._engine, self._preferences = services.engine, services.preferences
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._on_idle)
        models.loaded.connect(self.restart)
        self._engine.event_received.connect(self.restart)

    @Slot()
    def restart(self) -> None:
        """Wait anew: the model was used just now, or the setting was changed."""
        minutes = self._preferences.unload_after_min
        if minutes > 0:
            self._timer.start(minutes * MINUTE_MS)
        else:
            self._timer.stop()

    @Slot()
    def wake(self) -> None:
        """A conversation was opened: load the model again if it was unloaded."""
        self.restart()
        if self._models.resting and self._engine.comparison is None:
            self._models.ensure_loading()

    @Slot()
    def _on_idle(self) -> None:
        if self._engine.state is EngineState.IDLE:
            self._models.unload()
        elif self._models.current is not None:
            self.restart()


def _use_folder(folder: Path) -> Path:
    """Raises FolderUnusable. Not for the main thread: a drive may be slow."""
    is_default = folder == default_models_dir()
    if not is_default:
        require_usable(folder)
    try:
        choose_models_dir(None if is_default else folder)
    except OSError as error:  # the profile cannot be written
        detail = error.strerror or str(error)
        raise FolderUnusable(folder=str(default_models_dir().parent), detail=detail) from error
    return folder


class ModelsFeature(Feature[ModelsWindow]):
    """Owns what is done with models, but for the `controller` of the loaded one. Main thread."""

    def __init__(self, services: Services, models: ModelController, chat: ChatFeature) -> None:
        super().__init__()
        self._services, self.controller, self._chat = services, models, chat
        preferences = services.preferences
        forecasts = ForecastService(preferences, services.engine)
        self.recent = RecentModels(models, preferences, forecasts)
        self.idle_unload = IdleUnload(models, services)
        self.downloads = Downloads(user_models_dir(), self)
        models.preferences_changed.connect(services.save_preferences)
        models.load_failed.connect(services.show_error)
        chat.settings.model_shown.connect(self._on_chat_model)
        self._window: ModelsWindow  # set by `attach`, before anything is shown

    def attach(self, window: ModelsWindow) -> None:
        self._window = window
        models, recent, chat = self.controller, self.recent, self._chat.controller
        engine, preferences = self._services.engine, self._services.preferences
        presenter = ModelPresenter(
            window, models, self.downloads, preferences, forecasts=recent.forecasts
        )
        for signal in (window.models_action.triggered, window.model_pill.choose_requested):
            signal.connect(presenter.choose)
        window.model_dropped.connect(models.choose)
        self.presenters = [
            presenter,
            TemplatePresenter(window.composer.template, window.notices, models),
            PillPresenter(window.model_pill, models, recent, engine),
            DownloadPresenter(window, self.downloads, models, chat, engine),
            FirstStartPresenter(
                window.chat.welcome,
                models,
                self.downloads,
                chat,
                self._services,
                chooser=presenter,
            ),
        ]

    def start(self) -> None:
        """Load the model of last time, and find the files of earlier downloads."""
        self.controller.ensure_loading()  # a quick user may have asked already
        self.downloads.find_files()

    def close(self) -> None:
        """Pause the downloads; they go on at the next start."""
        self.downloads.close()

    async def choose_folder(self, folder: Path | None) -> Path:
        """Check another folder and use it for downloads; None is the profile's. Moves nothing.

        Raises FolderUnusable.
        """
        used = await ask_in_background(_use_folder, folder or default_models_dir())
        self.downloads.set_folder(used)
        return used

    @Slot(str)
    def _on_chat_model(self, path: str) -> None:
        """Offer the model that answered last in this conversation, where it is another one."""
        current = self.controller.current
        file = self.recent.find(Path(path)) if path else None
        here = file is not None and file.error is None
        differs = here and current is not None and Path(path) != Path(current.facts.path)
        name = self.recent.name_of(Path(path)) if differs else ""
        self._window.chat.offer_model(path if differs else "", name)

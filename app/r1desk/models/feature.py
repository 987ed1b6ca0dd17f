"""Choosing, downloading, loading and unloading models."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import Qt, SignalInstance, Slot
from PySide6.QtGui import QAction

from deepseek_r1.core.models_folders import user_models_dir
from r1desk.chat.composer.composer_footer import ComposerFooter
from r1desk.chat.feature import ChatFeature
from r1desk.chat.messages.view import ChatView
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Downloads
from r1desk.models.downloads_presenter import DownloadPresenter
from r1desk.models.first_start_presenter import FirstStartPresenter
from r1desk.models.forecast.service import ForecastService
from r1desk.models.idle_unload import IdleUnload
from r1desk.models.models_folder import ModelsFolder
from r1desk.models.pill_presenter import PillPresenter
from r1desk.models.presenter import ModelPresenter
from r1desk.models.recent_models import RecentModels
from r1desk.models.template_presenter import TemplatePresenter
from r1desk.models.widgets.download_list import DownloadList
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.widgets.notice_bar import NoticeBar


class ModelsWindow(Protocol):
    """The main window, as the models use it.

    Signals:
        model_dropped: the Path of a model's file or folder.
    """

    chat: ChatView
    composer_footer: ComposerFooter
    downloads: DownloadList
    model_pill: ModelPill
    models_action: QAction
    notices: NoticeBar
    model_dropped: SignalInstance


class ModelsFeature(Feature):
    """Owns what is done with models, but for the controller of the loaded one. Main thread."""

    def __init__(self, services: Services, models: ModelController, chat: ChatFeature) -> None:
        super().__init__()
        self._services, self._models, self._chat = services, models, chat
        preferences = services.preferences
        forecasts = ForecastService(preferences, services.engine)
        self.recent = RecentModels(models, preferences, forecasts)
        self.idle_unload = IdleUnload(models, services.engine, lambda: preferences.unload_after_min)
        self.downloads = Downloads(user_models_dir(), self)
        self.folder = ModelsFolder()
        queued = Qt.ConnectionType.QueuedConnection
        self.folder.changed.connect(self.downloads.set_folder, queued)
        models.preferences_changed.connect(services.save_preferences)
        models.load_failed.connect(services.show_error)
        chat.settings.model_shown.connect(self._on_chat_model)
        self._window: ModelsWindow | None = None
        self._presenter: ModelPresenter | None = None

    def attach(self, window: ModelsWindow) -> None:
        """Show the models in this window."""
        self._window = window
        models, services = self._models, self._services
        self._presenter = presenter = ModelPresenter(
            window, models, services.preferences, window.notices, self.recent.forecasts
        )
        window.models_action.triggered.connect(presenter.choose)
        window.model_dropped.connect(models.choose)
        self.presenters = [
            presenter,
            TemplatePresenter(window.composer_footer.template, window.notices, models),
            PillPresenter(
                window.model_pill,
                models=models,
                recent=self.recent,
                model_presenter=presenter,
                engine=services.engine,
            ),
            DownloadPresenter(
                window,
                download_list=window.downloads,
                downloads=self.downloads,
                models=models,
                model_presenter=presenter,
                chat=self._chat.controller,
            ),
            FirstStartPresenter(
                window.chat.welcome,
                models,
                self.downloads,
                self._chat.controller,
                preferences=services.preferences,
                forecasts=self.recent.forecasts,
            ),
        ]

    def start(self) -> None:
        """Load the model of last time, and find what was not downloaded to its end."""
        self._models.ensure_loading()  # a quick user may have asked already
        self.downloads.find_partial()

    def detach(self) -> None:
        """Let go of the window."""
        super().detach()
        self._window = self._presenter = None

    def close(self) -> None:
        """Pause the downloads; they go on at the next start."""
        self.downloads.close()

    @Slot()
    def choose(self) -> None:
        """Let the user pick a model."""
        if self._presenter is not None:
            self._presenter.choose()

    @Slot(int)
    def unload_after(self, minutes: int) -> None:
        """Unload the model after so many minutes without use; 0 is never."""
        self._services.preferences.unload_after_min = minutes
        self.idle_unload.restart()
        self._services.save_preferences()

    @Slot(str)
    def _on_chat_model(self, path: str) -> None:
        """Offer the model that answered last in this conversation, where it is another one."""
        current = self._models.current
        differs = current is not None and Path(path) != Path(current.facts.path)
        if self._window is not None:
            self._window.chat.offer_model(path if path and differs else "")

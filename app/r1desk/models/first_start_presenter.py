"""Offers a model at the first start, on a card in the empty conversation."""

from pathlib import Path

from PySide6.QtCore import QTimer, Slot

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.catalogue.recommendation import best_for_you
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.paths import starter_model
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.messages.welcome import Welcome
from r1desk.chat.values.intents import ReturnToComposer
from r1desk.features import Presenter, Services
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Downloads
from r1desk.models.forecast_service import find_files
from r1desk.models.presenter import ModelPresenter
from r1desk.models.widgets.first_start_card import FirstStartCard
from r1desk.platform.tasks import Tasks, task

_OFFER_AFTER_MS = 1000  # by then the machine is quiet after the load


class FirstStartPresenter(Presenter):
    """Shows the card until one of its buttons was used, or another model was loaded."""

    def __init__(
        self,
        welcome: Welcome,
        models: ModelController,
        downloads: Downloads,
        chat: ChatController,
        services: Services,
        *,
        chooser: ModelPresenter,
    ) -> None:
        super().__init__(welcome)
        self._welcome, self._models, self._downloads = welcome, models, downloads
        self._chat, self._forecasts = chat, chooser.forecasts
        self._services, self._preferences = services, services.preferences
        self._offer: ModelFile | None = None
        self.tasks = Tasks(self)
        p = services.preferences
        if p.welcomed or p.model_path is not None or p.recent_models:
            return
        self._card = card = FirstStartCard(welcome)
        welcome.set_card(card)
        card.button.clicked.connect(self._on_wanted)
        card.starter_button.clicked.connect(self._end)
        card.choose_button.clicked.connect(chooser.choose)
        models.load_started.connect(self._on_load_started)
        models.load_failed.connect(self._on_load_failed)
        models.loaded.connect(self._on_loaded)
        self._timer = QTimer(self, interval=_OFFER_AFTER_MS)
        self._timer.timeout.connect(self._find_offer)
        QTimer.singleShot(0, self, self._show)  # after the window is shown

    def _show(self) -> None:
        """Show the ways that need no look at the computer; the offer is added to them."""
        if not self._preferences.welcomed:
            self._welcome.show_card(True)
            self._timer.start()

    @task
    async def _find_offer(self) -> None:
        """Measure the memory's speed for a moment, but never beside a load or an answer."""
        if self._chat.busy or self._models.loading:
            return
        self._timer.stop()
        async for files in self._forecasts.ask(find_files, ()):
            self._offer = best_for_you(files)  # the last answer's speeds are measured
        self._card.show_offer(self._offer)

    @Slot(str)
    def _on_load_started(self, path: str) -> None:
        if Path(path) != starter_model():
            self._welcome.show_card(False)

    @Slot(ErrorReport)
    def _on_load_failed(self, _report: ErrorReport) -> None:
        """Offer the other ways again."""
        self._welcome.show_card(not self._preferences.welcomed)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        if Path(loaded.facts.path) != starter_model():
            self._end()

    @Slot()
    def _on_wanted(self) -> None:
        if self._offer is None:
            return
        if self._offer.path is not None:
            self._models.choose(self._offer.path)
            return
        self._downloads.start(self._offer.specs[0], load_after=True)
        self._end()

    @Slot()
    def _end(self) -> None:
        """Hide the card for good; the next key is for the message box."""
        if not self._preferences.welcomed:
            self._preferences.welcomed = True
            self._services.save_preferences()
            self._welcome.request(ReturnToComposer())
        self._welcome.show_card(False)

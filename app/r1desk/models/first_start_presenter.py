"""Offers models at the first start, on a card in the empty conversation."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QTimer, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.paths import starter_model
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.messages.welcome import Welcome
from r1desk.chat.values.intents import ReturnToComposer
from r1desk.features import Presenter, Services
from r1desk.models.catalogue_picks import CatalogueFile, FirstOffers, first_offers, measured_offers
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Downloads
from r1desk.models.forecast_service import ForecastService
from r1desk.models.scan import find_r1_file
from r1desk.models.widgets.first_start_card import FirstStartCard
from r1desk.models.widgets.page_parts import open_model_dialog
from r1desk.platform.tasks import Tasks, task

_MEASURE_AFTER_MS = 1000  # by then the machine is quiet after the load


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
        forecasts: ForecastService,
    ) -> None:
        super().__init__(welcome)
        self._welcome = welcome
        self._models = models
        self._downloads = downloads
        self._chat = chat
        self._services, self._preferences = services, services.preferences
        self._forecasts = forecasts
        self.tasks = Tasks(self)
        self._looked = False  # the card has its contents
        p = services.preferences
        if p.welcomed or p.model_path is not None or p.recent_models:
            return
        self._card = card = FirstStartCard(welcome)
        welcome.set_card(card)
        card.download_requested.connect(self._on_download)
        card.starter_button.clicked.connect(self._end)
        card.file_button.clicked.connect(self._on_file)
        card.found_requested.connect(models.choose)
        models.load_started.connect(self._on_load_started)
        models.load_failed.connect(self._on_load_failed)
        models.loaded.connect(self._on_loaded)
        self._measure_timer = QTimer(self, interval=_MEASURE_AFTER_MS)
        self._measure_timer.timeout.connect(self._measure)
        for look in (self._find_offers, self._find_file):
            QTimer.singleShot(0, self, look)  # after the window is shown

    @task
    async def _find_offers(self) -> None:
        self._show(await self._forecasts.ask(first_offers))

    @task
    async def _find_file(self) -> None:
        async for file in self._forecasts.ask(find_r1_file):
            self._card.show_file(file)

    def _show(self, offers: FirstOffers) -> None:
        if self._preferences.welcomed:
            return
        self._looked = True
        self._card.show_offers(offers)
        self._welcome.show_card(True)
        if offers.small is not None:
            self._measure_timer.start()

    @Slot(str)
    def _on_load_started(self, path: str) -> None:
        if Path(path) != starter_model():
            self._welcome.show_card(False)

    @Slot(ErrorReport)
    def _on_load_failed(self, _report: ErrorReport) -> None:
        """Offer the other ways again."""
        if self._looked:
            self._welcome.show_card(not self._preferences.welcomed)

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        if Path(loaded.facts.path) != starter_model():
            self._end()

    @task
    async def _measure(self) -> None:
        """Measure the memory's speed for a moment, but never beside a load or an answer."""
        if self._models.current is None or self._chat.busy or self._models.loading:
            return
        self._measure_timer.stop()
        if not self._preferences.welcomed:
            self._card.show_offers(await self._forecasts.ask(measured_offers))

    @Slot(object)
    def _on_download(self, file: CatalogueFile) -> None:
        self._models.live.give_budget(file.budget_mib)
        self._downloads.start(file.spec, load_after=True)
        self._end()

    @Slot()
    def _on_file(self) -> None:
        open_model_dialog(self._welcome.window(), self._models.choose)

    @Slot()
    def _end(self) -> None:
        """Hide the card for good; the next key is for the message box."""
        if not self._preferences.welcomed:
            self._preferences.welcomed = True
            self._services.save_preferences()
            self._welcome.request(ReturnToComposer())
        self._welcome.show_card(False)

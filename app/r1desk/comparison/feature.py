"""Several models answer one question, within the same budget."""

from __future__ import annotations

from PySide6.QtWidgets import QMainWindow

from r1desk.chat.feature import ChatFeature
from r1desk.comparison.controller import ComparisonController
from r1desk.comparison.presenter import ComparisonPresenter
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.forecast_service import ForecastService


class ComparisonFeature(Feature):
    """Owns the comparison. Main thread."""

    def __init__(
        self,
        services: Services,
        models: ModelController,
        chat: ChatFeature,
        forecasts: ForecastService,
    ) -> None:
        super().__init__()
        self._services, self._models, self._chat = services, models, chat
        self._forecasts = forecasts
        self.controller = ComparisonController(
            services.engine, services.store, chat.controller, models, services.preferences
        )

    def attach(self, window: QMainWindow) -> None:
        """Show the comparison in this window."""
        services = self._services
        self.presenters = [
            ComparisonPresenter(
                window,
                self.controller,
                chat=self._chat.controller,
                settings=self._chat.settings,
                models=self._models,
                preferences=services.preferences,
                forecasts=self._forecasts,
            )
        ]

    def close(self) -> None:
        """Save what there is of the answers."""
        self.controller.close()

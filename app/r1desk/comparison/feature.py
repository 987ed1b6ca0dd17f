"""Several models answer one question, within the same budget."""

from __future__ import annotations

from PySide6.QtWidgets import QMainWindow

from r1desk.chat.feature import ChatFeature
from r1desk.comparison.controller import ComparisonController
from r1desk.comparison.presenter import ComparisonPresenter
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.pill_presenter import RecentModels


class ComparisonFeature(Feature):
    """Owns the comparison. Main thread."""

    def __init__(
        self, services: Services, models: ModelController, chat: ChatFeature, recent: RecentModels
    ) -> None:
        super().__init__()
        self._chat, self._recent, self._models = chat, recent, models
        self.controller = ComparisonController(
            services.engine, services.store, chat.controller, models, services.preferences
        )
        self.close = self.controller.close

    def attach(self, window: QMainWindow) -> None:
        """Show the comparison in this window."""
        presenter = ComparisonPresenter(
            window,
            self.controller,
            chat=self._chat.controller,
            settings=self._chat.settings,
            recent=self._recent,
            models=self._models,
        )
        self.presenters = [presenter]

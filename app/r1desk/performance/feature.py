"""The strip below the window and the panel: measurements, and the settings of all that is said."""

from __future__ import annotations

from r1desk.chat.feature import ChatFeature
from r1desk.features import Feature, Services
from r1desk.models.controller import ModelController
from r1desk.models.feature import ModelsFeature
from r1desk.performance.load_presenter import DraftOfferPresenter, LoadPresenter
from r1desk.performance.presenter import PerformancePresenter, PerformanceWindow
from r1desk.performance.preset_presenter import PresetPresenter
from r1desk.performance.resource_sampler import BudgetGuard, ResourceSampler
from r1desk.performance.widgets.panel import PerformancePanel


class PerformanceFeature(Feature):
    """Owns the sampler and the budget's guard. Main thread."""

    def __init__(
        self,
        services: Services,
        models: ModelController,
        chat: ChatFeature,
        models_feature: ModelsFeature,
    ) -> None:
        super().__init__()
        self._services, self._models = services, models
        self._chat, self._models_feature = chat, models_feature
        self.sampler = ResourceSampler(services.engine, self)
        self.guard = BudgetGuard(services.engine, models, self.sampler, self)

    def attach(self, window: PerformanceWindow) -> None:
        """Show the measurements in this window."""
        chat, models, panel = self._chat, self._models_feature, window.panel
        self.presenters = [
            PresetPresenter(window, chat.presets, chat.settings, self._models),
            LoadPresenter(panel, self._models, models.recent, self._services.preferences),
            DraftOfferPresenter(panel.load, self._models, models.downloads),
            PerformancePresenter(
                window, self._services.engine, self._models, chat.controller, self.guard
            ),
        ]
        self._attach_settings(panel)

    def _attach_settings(self, panel: PerformancePanel) -> None:
        """Connect the settings of the chat."""
        chat, settings = self._chat, self._chat.settings
        panel.answers.changed.connect(settings.change)
        chat.controller.leaving.connect(panel.answers.flush)
        settings.shown.connect(panel.answers.show_settings)
        settings.emit_shown()
        chat.sizes.changed.connect(panel.context.show_size)
        panel.context.show_size(chat.sizes.size)
        panel.next_turn.set_settings(self._services.preferences.prompts)
        panel.next_turn.show_state(chat.prompts.state)
        panel.next_turn.settings_changed.connect(chat.set_prompt_settings)
        chat.prompts.state_changed.connect(panel.next_turn.show_state)

    def start(self) -> None:
        """Begin to measure."""
        self.sampler.start()

    def close(self) -> None:
        """End measuring."""
        self.sampler.stop()

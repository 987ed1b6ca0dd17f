"""The strip below the window and the panel: measurements, and the settings of all that is said."""

from PySide6.QtCore import Slot

from r1desk.chat.feature import ChatFeature
from r1desk.features import Feature, Services
from r1desk.models.feature import ModelsFeature
from r1desk.performance.load_presenter import DraftOfferPresenter, LoadPresenter
from r1desk.performance.presenter import PerformancePresenter, PerformanceWindow
from r1desk.performance.preset_presenter import PresetPresenter
from r1desk.performance.resource_sampler import BudgetGuard, ResourceSampler
from r1desk.performance.widgets.panel import PerformancePanel


class PerformanceFeature(Feature[PerformanceWindow]):
    """Owns the sampler and the budget's guard. Main thread."""

    def __init__(self, services: Services, chat: ChatFeature, models: ModelsFeature) -> None:
        super().__init__()
        self._services, self._chat, self._models = services, chat, models
        self.sampler = ResourceSampler(services.engine, self)
        self.guard = BudgetGuard(services.engine, models.controller, self.sampler, self)

    def attach(self, window: PerformanceWindow) -> None:
        """Show the measurements and the settings in this window."""
        chat, models, engine = self._chat, self._models.controller, self._services.engine
        self._presets = PresetPresenter(window, chat.presets, chat.settings, models)
        self.presenters = [
            self._presets,
            PerformancePresenter(window, engine, models, chat.controller, self.guard),
        ]
        window.panel_made.connect(self._attach_panel)
        if window.made_panel is not None:
            self._attach_panel(window.made_panel)

    @Slot(object)
    def _attach_panel(self, panel: PerformancePanel) -> None:
        """Show in the panel what is so by now, and what changes from now on."""
        chat, settings, models = self._chat, self._chat.settings, self._models.controller
        preferences = self._services.preferences
        self._presets.attach_row(panel)
        self.presenters += [
            LoadPresenter(panel, models, self._models.recent, preferences),
            DraftOfferPresenter(panel.load, models, self._models.downloads),
        ]
        panel.model.now_button.clicked.connect(chat.controller.answers.stop_writing)
        panel.answers.changed.connect(settings.change)
        chat.controller.leaving.connect(panel.answers.flush)
        settings.shown.connect(panel.answers.show_settings)
        panel.answers.show_settings(*settings.present)
        chat.sizes.changed.connect(panel.context.show_size)
        panel.context.show_size(chat.sizes.size)
        panel.next_turn.set_settings(preferences.prompts)
        panel.next_turn.show_state(chat.prompts.state)
        panel.next_turn.settings_changed.connect(chat.set_prompt_settings)
        chat.prompts.state_changed.connect(panel.next_turn.show_state)

    def start(self) -> None:
        """Begin to measure."""
        self.sampler.start()

    def close(self) -> None:
        """End measuring."""
        self.sampler.stop()

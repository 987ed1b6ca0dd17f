"""Connects the row below the composer with the settings, the model and the text being written."""

from __future__ import annotations

from PySide6.QtCore import Slot

from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.attachment_controller import AttachmentController
from r1desk.chat.answers.settings_controller import ChatSettingsController
from r1desk.chat.composer.composer import Composer
from r1desk.chat.composer.composer_footer import ComposerFooter
from r1desk.chat.context.measured_speed import MeasuredSpeed
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.features import Presenter


class ComposerFooterPresenter(Presenter):
    """Shows the thinking budget with its time, and what the next message takes."""

    def __init__(
        self,
        footer: ComposerFooter,
        composer: Composer,
        attachments: AttachmentController,
        *,
        sizes: PromptSizeController,
        settings: ChatSettingsController,
        speed: MeasuredSpeed,
    ) -> None:
        super().__init__(footer)
        self._footer, self._composer, self._attachments = footer, composer, attachments
        self._sizes, self._settings, self._speed = sizes, settings, speed
        composer.text_changed.connect(self._on_message_changed)
        attachments.shown.connect(self._on_message_changed)
        sizes.changed.connect(footer.size_bar.show_size)
        settings.sampling_changed.connect(self._on_sampling)
        settings.defaults_changed.connect(self._on_defaults)
        footer.thinking.budget_chosen.connect(settings.set_thinking_budget)
        footer.thinking.default_chosen.connect(settings.set_default_thinking_budget)
        speed.changed.connect(self._on_speed)
        self._on_defaults()
        self._on_sampling(settings.present[0])
        self._on_speed()
        footer.size_bar.show_size(sizes.size)

    @Slot(object)
    def on_model_loaded(self, loaded: ModelLoaded) -> None:
        """Another model counts otherwise, and may not think."""
        self._footer.thinking.setVisible(loaded.facts.reasons)
        self._sizes.refresh()

    @Slot()
    def _on_message_changed(self) -> None:
        self._sizes.set_message(self._composer.text(), self._attachments.attachments)

    @Slot(object)
    def _on_sampling(self, sampling: SamplingSettings) -> None:
        self._footer.thinking.show_budget(sampling.thinking_budget)
        self._sizes.refresh()

    @Slot()
    def _on_defaults(self) -> None:
        self._footer.thinking.set_default(self._settings.default_thinking_budget)

    @Slot()
    def _on_speed(self) -> None:
        self._footer.thinking.set_speed(self._speed.decode_tok_s)

"""The conversation on the screen, with all that is asked of it."""

from __future__ import annotations

from PySide6.QtCore import Slot

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import PromptCacheSettings, SamplingSettings
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions, UndoHistory
from r1desk.chat.answers.presets import PresetController
from r1desk.chat.answers.prompt_preparation import PromptPreparation
from r1desk.chat.answers.settings_controller import ChatSettingsController
from r1desk.chat.context.context_controllers import AnsweringModel, ContextControllers
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.presenter import ChatPresenter, ComposerFooterPresenter
from r1desk.chat.presenters.request_handler import RequestHandler
from r1desk.features import Feature, Services
from r1desk.widgets.notice_bar import Level, Notice

PROMPTS_FOLDER = "prompts"  # of the profile


class ChatFeature(Feature):
    """Owns the chat's controllers. Main thread."""

    def __init__(self, services: Services, models: AnsweringModel) -> None:
        super().__init__()
        self._services, self._models = services, models
        engine, store = services.engine, services.store
        self.controller = chat = ChatController(
            engine,
            store,
            lambda: models.name,
            self._defaults,
            model_path=lambda: str(models.next_path or ""),
            context_length=self._context_length,
        )
        self.settings = ChatSettingsController(store, chat, services.preferences)
        chat.new_chat_defaults = self.settings.new_chat_values
        self.presets = PresetController(store, self)
        self.context = ContextControllers(
            engine, models, chat, self.settings, preferences=services.preferences, parent=self
        )
        self.history = UndoHistory(lambda conversation: chat.answering == conversation, self)
        self.actions = MessageActions(store, chat, self.history, self)
        self.prompts = PromptPreparation(
            engine,
            store,
            chat,
            services.profile / PROMPTS_FOLDER if services.can_write else None,
            lambda: services.preferences.prompts,
            defaults=self._defaults,
        )
        self._window: ChatWindow | None = None
        self._presenter: ChatPresenter | None = None
        self._view_only = ""
        self._connect()

    def _connect(self) -> None:
        chat, models, services = self.controller, self._models, self._services
        chat.model_wanted.connect(models.ensure_loading)
        models.loaded.connect(self.settings.emit_model)
        models.loaded.connect(self.prompts.restore_shown)
        self.settings.defaults_changed.connect(services.save_preferences)
        for failing in (chat, self.settings, self.presets):
            failing.failed.connect(services.show_error)
        chat.recovered.connect(self._on_recovered)
        for outcome in (chat.failed, chat.send_failed, chat.pending_writes.kept, chat.recovered):
            outcome.connect(self._hold_open_while_unsaved)

    def _defaults(self) -> tuple[SamplingSettings, str]:
        return self._services.preferences.sampling, self._services.preferences.system_prompt

    def _context_length(self) -> int:
        facts, load = self._models.facts, self._services.preferences.load
        return facts.context_length if facts is not None else load.context_length

    # ---- the window

    def attach(self, window: ChatWindow) -> None:
        """Show the chat in this window."""
        chat, context = self.controller, self.context
        self._window = window
        self._presenter = presenter = ChatPresenter(
            window, chat, self._services.engine, lambda: self._models.ready
        )
        window.files_dropped.connect(presenter.attachments.add_paths)
        footer = ComposerFooterPresenter(
            window.composer_footer,
            window.composer,
            presenter.attachments.controller,
            sizes=context.sizes,
            settings=self.settings,
            speed=context.speed,
        )
        for shown in (presenter, footer):
            self._models.loaded.connect(shown.on_model_loaded)
            if self._models.current is not None:
                shown.on_model_loaded(self._models.current)
        self.presenters = [
            presenter,
            footer,
            RequestHandler(
                window,
                presenter.attachments,
                chat=chat,
                actions=self.actions,
                context=context,
                load_model=self._models.choose,
            ),
        ]
        self.settings.system_prompt_changed.connect(window.chat.instructions.set_instructions)
        presenter.set_view_only(self._view_only)
        self._hold_open_while_unsaved()

    def start(self) -> None:
        """Drop prompts kept for conversations that are gone."""
        self.prompts.retain_present()

    def detach(self) -> None:
        """Let go of the window; what is typed in it is kept."""
        if self._window is not None:
            self._window.composer.flush_draft()
        super().detach()
        self._window = self._presenter = None

    def close(self) -> None:
        """Save what there is before the store is closed."""
        self.controller.close()

    # ---- what others ask for

    def set_view_only(self, reason: str) -> None:
        """Nothing can be sent in this profile, and why; empty where it can."""
        self._view_only = reason
        if self._presenter is not None:
            self._presenter.set_view_only(reason)

    @Slot(object)
    def set_prompt_settings(self, settings: PromptCacheSettings) -> None:
        """Change what is kept ready for next turns, and for how long."""
        self._services.preferences.prompts = settings
        self.prompts.apply_settings()
        self.prompts.retain_present()
        self._services.save_preferences()

    # ---- text that the disk refused

    @Slot()
    def _hold_open_while_unsaved(self) -> None:
        """Closing would lose it: let the window ask first."""
        if self._window is not None:
            text = tr("Some text could not be saved yet and would be lost.")
            self._window.hold_open(text if self.controller.pending_writes.waiting else "")

    @Slot()
    def _on_recovered(self) -> None:
        text = tr("What could not be saved before is saved now.")
        self._services.notify(Notice(text, Level.INFO))

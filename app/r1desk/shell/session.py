"""The running application: one window, the controllers, and the presenters that join them.

The window can be built anew (for another language) while the engine and the store go on.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication

from deepseek_r1.core import log
from deepseek_r1.core.errors import EngineKeepsDying, ErrorReport
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import log_dir
from deepseek_r1.core.settings import PromptCacheSettings, SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.composer_footer_presenter import ComposerFooterPresenter
from r1desk.chat.continuation_presenter import ContinuationPresenter
from r1desk.chat.controller import ChatController
from r1desk.chat.message_actions import MessageActions
from r1desk.chat.message_actions_presenter import MessageActionsPresenter
from r1desk.chat.presenter import ChatPresenter, ChatWidgets
from r1desk.chat.presets import PresetController
from r1desk.chat.prompt_preparation import PromptPreparation
from r1desk.chat.request_handler import RequestHandler
from r1desk.chat.settings_controller import ChatSettingsController
from r1desk.chat.undo_history import UndoHistory
from r1desk.conversations.presenter import ConversationsPresenter, ConversationWidgets
from r1desk.engine.engine_bridge import EngineBridge
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
from r1desk.performance.budget_guard import BudgetGuard
from r1desk.performance.draft_offer_presenter import DraftOfferPresenter
from r1desk.performance.load_presenter import LoadPresenter
from r1desk.performance.presenter import PerformancePresenter
from r1desk.performance.preset_presenter import PresetPresenter
from r1desk.performance.resource_sampler import ResourceSampler
from r1desk.platform.main_thread_gc import MainThreadCollector
from r1desk.serving.controller import ServingController
from r1desk.serving.presenter import ServingPresenter
from r1desk.shell import notices
from r1desk.shell.about import about, shortcuts
from r1desk.shell.appearance import Appearance
from r1desk.shell.context_controllers import ContextControllers
from r1desk.shell.language import install_qt_translations
from r1desk.shell.main_window import MainWindow
from r1desk.shell.settings_dialog import SettingsDialog
from r1desk.store import Opening, Profile, StoreThread
from r1desk.store.store_bridge import StoreBridge
from r1desk.theme.theme import style_sheet_set_aside
from r1desk.widgets.notice_bar import Level, Notice

SAVE_DELAY_MS = 400
PROMPTS_FOLDER = "prompts"  # of the profile


class Session(QObject):
    """Owns the controllers for the lifetime of the application, and the present window."""

    bug_found = Signal(str)  # from any thread

    def __init__(
        self,
        profile: Profile,
        store: StoreThread,
        stored: prefs.Preferences,
        damaged: Path | None,
        engine_command: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._collector = MainThreadCollector(self)
        self.preferences = stored
        self._profile = profile
        self.writable = profile.lock is not None
        self._opening = Opening()
        self.engine = EngineBridge(self, engine_command)
        self.store = StoreBridge(store, self)
        self.models = ModelController(self.engine, stored)
        self.recent_models = RecentModels(self.models, stored, ForecastService(stored, self.engine))
        self.chat = ChatController(
            self.engine,
            self.store,
            lambda: self.models.name,
            self._answer_defaults,
            model_path=lambda: str(self.models.next_path or ""),
            context_length=self._context_length,
        )
        self.chat_settings = self._make_chat_settings()
        self.presets = self._make_presets()
        self.context = ContextControllers(
            self.engine,
            self.models,
            self.chat,
            self.chat_settings,
            preferences=stored,
            parent=self,
        )
        self.history = UndoHistory(lambda conversation: self.chat.answering == conversation, self)
        self.message_actions = MessageActions(self.store, self.chat, self.history, self)
        self.conversations = ConversationsPresenter(self.store, self.chat, self.history)
        self.prompts = PromptPreparation(
            self.engine,
            self.store,
            self.chat,
            profile.folder / PROMPTS_FOLDER if self.writable else None,
            lambda: self.preferences.prompts,
            defaults=self._answer_defaults,
        )
        self.idle_unload = IdleUnload(
            self.models, self.engine, lambda: self.preferences.unload_after_min
        )
        self.downloads = Downloads(user_models_dir(), self)
        self.models_folder = ModelsFolder()
        self.models_folder.changed.connect(
            self.downloads.set_folder, Qt.ConnectionType.QueuedConnection
        )
        self.sampler = ResourceSampler(self)
        self.sampler.follow(self.engine)
        self.guard = BudgetGuard(self.engine, self.models, self.sampler, self)
        self.serving = ServingController(self.engine, self.models, stored, self)
        self._save_timer = QTimer(self, singleShot=True, interval=SAVE_DELAY_MS)
        self._save_timer.timeout.connect(self._save_preferences)
        self._start_timer = QTimer(self, singleShot=True, interval=0)
        self._start_timer.timeout.connect(self._start_engine)
        self.appearance = Appearance(stored, self)
        self.appearance.changed.connect(self._save_timer.start)
        with style_sheet_set_aside(_application()):
            self._build_window()
        self.models.preferences_changed.connect(self._save_timer.start)
        self.serving.preferences_changed.connect(self._save_timer.start)
        self.models.load_failed.connect(self.show_error)
        self.models.loaded.connect(self.prompts.restore_shown)
        self.conversations.purged.connect(self.prompts.retain_present)
        self.chat.model_wanted.connect(self.models.ensure_loading)
        self.chat.failed.connect(self.show_error)
        self.chat.recovered.connect(self._on_recovered)
        self.chat.failed.connect(self._hold_open_while_unsaved)
        self.chat.send_failed.connect(self._hold_open_while_unsaved)
        self.chat.pending_writes.kept.connect(self._hold_open_while_unsaved)
        self.chat.recovered.connect(self._hold_open_while_unsaved)
        self.bug_found.connect(self._on_bug)
        self.store.opened.connect(self._on_store_opened)
        if damaged is not None:
            self._notify(notices.preferences_damaged(damaged))

    def _answer_defaults(self) -> tuple[SamplingSettings, str]:
        return self.preferences.sampling, self.preferences.system_prompt

    def _context_length(self) -> int:
        facts = self.models.facts
        return facts.context_length if facts is not None else self.preferences.load.context_length

    def _make_chat_settings(self) -> ChatSettingsController:
        settings = ChatSettingsController(self.store, self.chat, self.preferences)
        settings.defaults_changed.connect(self._on_defaults_changed)
        settings.failed.connect(self.show_error)
        settings.model_shown.connect(self._on_chat_model)
        self.models.loaded.connect(settings.emit_model)
        self.chat.new_chat_defaults = settings.new_chat_values
        return settings

    def _make_presets(self) -> PresetController:
        presets = PresetController(self.store, self)
        presets.failed.connect(self.show_error)
        return presets

    # ---- the window -------------------------------------------------------------------------

    def _build_window(self) -> None:
        p = self.preferences
        self.window = MainWindow()
        self.window.place(p.window_geometry.encode("ascii", "ignore"))  # the width decides below
        self.window.sidebar_action.setChecked(p.sidebar_visible)
        self.window.panel_action.setChecked(p.panel_visible)
        model_presenter = ModelPresenter(
            self.window, self.models, p, self.window.notices, self.recent_models.forecasts
        )
        self.window.models_requested.connect(model_presenter.choose)
        self.window.model_dropped.connect(self.models.choose)
        self.window.panel.model.choose_requested.connect(model_presenter.choose)
        chat_presenter = self._present_chat()
        self.presenters = (
            chat_presenter,
            self._present_composer_footer(chat_presenter),
            self._present_continuation(),
            TemplatePresenter(
                self.window.composer_footer.template, self.window.notices, self.models
            ),
            MessageActionsPresenter(
                self.window,
                composer=self.window.composer,
                notices=self.window.notices,
                actions=self.message_actions,
                history=self.history,
            ),
            RequestHandler(
                self.window,
                self.window.chat,
                self.window.composer,
                chat_presenter.attachments,
                chat=self.chat,
                actions=self.message_actions,
                overflow=self.context.overflow,
                memory=self.context.memory,
                title=self.window.title.text,
                load_model=self.models.choose,
            ),
            model_presenter,
            PillPresenter(
                self.window.model_pill,
                models=self.models,
                recent=self.recent_models,
                model_presenter=model_presenter,
                engine=self.engine,
            ),
            PresetPresenter(
                self.window,
                panel=self.window.panel,
                menu=self.window.presets_menu,
                notices=self.window.notices,
                presets=self.presets,
                settings=self.chat_settings,
                models=self.models,
            ),
            LoadPresenter(self.window.panel, self.models, self.recent_models, p),
            DraftOfferPresenter(self.window.panel.load, self.models, self.downloads),
            PerformancePresenter(
                gauge=self.window.gauge,
                panel=self.window.panel,
                notices=self.window.notices,
                engine=self.engine,
                models=self.models,
                chat=self.chat,
                sampler=self.sampler,
                guard=self.guard,
            ),
            DownloadPresenter(
                self.window,
                download_list=self.window.downloads,
                downloads=self.downloads,
                models=self.models,
                model_presenter=model_presenter,
                chat=self.chat,
            ),
            FirstStartPresenter(
                self.window.chat.welcome,
                self.models,
                self.downloads,
                self.chat,
                preferences=p,
                forecasts=self.recent_models.forecasts,
            ),
            self._present_serving(),
        )
        self._present_conversations()
        self.window.sidebar.opened.connect(self.idle_unload.wake)
        self.window.sidebar.hit_opened.connect(self.idle_unload.wake)
        self.presenters[0].set_view_only(self._why_view_only())
        self.window.settings_requested.connect(self._on_settings)
        self.window.text_size_changed.connect(self.appearance.step_text_size)
        self.appearance.reading_width_changed.connect(self.window.lay_out_again)
        self._connect_chat_settings()
        self.window.panel.next_turn.set_settings(p.prompts)
        self.window.panel.next_turn.show_state(self.prompts.state)
        self.window.panel.next_turn.settings_changed.connect(self._on_next_turn)
        self.prompts.state_changed.connect(self.window.panel.next_turn.show_state)
        self.window.about_requested.connect(self._on_about)
        self.window.shortcuts_requested.connect(self._on_shortcuts)
        self.window.doctor_requested.connect(self._on_doctor)
        self.window.closed.connect(self._on_closed)
        self._hold_open_while_unsaved()

    def _connect_chat_settings(self) -> None:
        panel, settings = self.window.panel, self.chat_settings
        panel.sampling.sampling_changed.connect(settings.set_sampling)
        panel.system_prompt.system_prompt_changed.connect(settings.set_system_prompt)
        self.chat.leaving.connect(panel.flush_answer_settings)
        settings.shown.connect(panel.show_answer_settings)
        settings.system_prompt_changed.connect(self.window.chat.show_instructions)
        settings.emit_shown()

    def _present_chat(self) -> ChatPresenter:
        window, models = self.window, self.models
        widgets = ChatWidgets(
            window,
            window.chat,
            window.composer,
            window.notices,
            window.stop_action,
            window.regenerate_action,
        )
        presenter = ChatPresenter(
            widgets,
            self.chat,
            self.engine,
            lambda: self.models.ready,
        )
        window.files_dropped.connect(presenter.attachments.add_paths)
        models.loaded.connect(presenter.on_model_loaded)
        if models.current is not None:
            presenter.on_model_loaded(models.current)
        return presenter

    def _present_composer_footer(self, chat: ChatPresenter) -> ComposerFooterPresenter:
        presenter = ComposerFooterPresenter(
            self.window.composer_footer,
            self.window.composer,
            chat.attachments.controller,
            sizes=self.context.sizes,
            settings=self.chat_settings,
            speed=self.context.speed,
        )
        self.models.loaded.connect(presenter.on_model_loaded)
        if self.models.current is not None:
            presenter.on_model_loaded(self.models.current)
        return presenter

    def _present_continuation(self) -> ContinuationPresenter:
        return ContinuationPresenter(
            self.window,
            self.window.chat,
            self.window.composer,
            chat=self.chat,
            overflow=self.context.overflow,
            summaries=self.context.summaries,
        )

    def _present_serving(self) -> ServingPresenter:
        window = self.window
        presenter = ServingPresenter(window, window.serving_button, self.serving, self.models)
        window.serving_requested.connect(presenter.open)
        return presenter

    def _present_conversations(self) -> None:
        window = self.window
        self.conversations.attach(
            ConversationWidgets(
                window, window.sidebar, window.composer, window.notices, window.set_title
            )
        )

    def show(self) -> None:
        """Show the window; the engine starts once it is on the screen."""
        self.window.show()
        self._start_timer.start()

    @Slot()
    def _start_engine(self) -> None:
        self.conversations.open_last()
        self.prompts.retain_present()
        self.engine.start()
        self.sampler.start()
        self.models.ensure_loading()  # a quick user may have asked already
        self.downloads.find_partial()

    @Slot()
    def raise_window(self) -> None:
        """Bring the window to the front."""
        self.window.raise_to_front()

    def close(self) -> None:
        """Stop the engine and keep what is remembered. The owner closes the store's thread."""
        self._start_timer.stop()
        self._save_timer.stop()
        self.sampler.stop()
        self.window.composer.flush_draft()
        for presenter in self.presenters:
            presenter.close()
        self.conversations.detach()
        self.chat.close()
        self.downloads.close()
        self.serving.close()
        self.engine.stop()
        self.store.close()
        self._collector.close()
        self._save_preferences()

    def _rebuild_window(self) -> None:
        """A new window in place of the old, with the same conversation."""
        old = self.window
        old.composer.flush_draft()
        self._keep_layout()
        for presenter in self.presenters:
            presenter.close()
        self.conversations.detach()
        self._build_window()
        self.window.show()
        old.closed.disconnect(self._on_closed)
        old.hold_open("")  # the new one asks
        old.close()
        old.destroyed.connect(return_free_memory)
        old.deleteLater()
        self.conversations.refresh()
        self.chat.reopen()

    # ---- requests of the user ---------------------------------------------------------------

    @Slot(object)
    def set_language(self, code: str | None) -> None:
        self.preferences.language = code
        use_language(code)
        install_qt_translations(_application())
        self._save_timer.start()
        QTimer.singleShot(0, self._rebuild_window)  # after the menu that asked for it has closed

    @Slot(int)
    def _on_unload_after(self, minutes: int) -> None:
        self.preferences.unload_after_min = minutes
        self.idle_unload.restart()
        self._save_timer.start()

    @Slot()
    def _on_about(self) -> None:
        about(self.window, self.engine.engine_name).open()

    @Slot()
    def _on_doctor(self) -> None:
        from r1desk.shell.doctor_page import DoctorPage  # noqa: PLC0415 - not at start

        DoctorPage(self.window).open()

    @Slot()
    def _on_settings(self) -> None:
        p = self.preferences
        folders = {
            tr("Models"): user_models_dir(),
            tr("Conversations and settings"): self._profile.folder,
            tr("Chats ready on disk"): self._profile.folder / PROMPTS_FOLDER,
            tr("Logs"): log_dir(),
        }
        dialog = SettingsDialog(
            self.window,
            language=p.language,
            theme=p.theme,
            text_size_pt=p.text_size_pt,
            reading_width=p.reading_width,
            unload_after_min=p.unload_after_min,
            folders=folders,
        )
        dialog.language_chosen.connect(self.set_language)
        dialog.theme_chosen.connect(self.appearance.set_theme)
        dialog.text_size_chosen.connect(self.appearance.set_text_size)
        dialog.reading_width_chosen.connect(self.appearance.set_reading_width)
        dialog.unload_after_chosen.connect(self._on_unload_after)
        dialog.models_folder_chosen.connect(self.models_folder.choose)
        self.models_folder.changed.connect(
            dialog.show_models_folder, Qt.ConnectionType.QueuedConnection
        )
        self.models_folder.refused.connect(
            dialog.show_folder_refused, Qt.ConnectionType.QueuedConnection
        )
        dialog.open()

    @Slot()
    def _on_shortcuts(self) -> None:
        shortcuts(self.window).open()

    @Slot(object)
    def _on_next_turn(self, settings: PromptCacheSettings) -> None:
        self.preferences.prompts = settings
        self.prompts.apply_settings()
        self.prompts.retain_present()
        self._save_timer.start()

    @Slot(str)
    def _on_chat_model(self, path: str) -> None:
        """Offer the model that answered last in this conversation, where it is another one."""
        current = self.models.current
        differs = current is not None and Path(path) != Path(current.facts.path)
        self.window.chat.offer_model(path if path and differs else "")

    @Slot()
    def _on_defaults_changed(self) -> None:
        self._save_timer.start()

    @Slot()
    def _on_closed(self) -> None:
        self._keep_layout()
        QApplication.quit()

    def _keep_layout(self) -> None:
        geometry = self.window.saveGeometry().data()
        self.preferences.window_geometry = base64.b64encode(geometry).decode("ascii")
        self.preferences.sidebar_visible = self.window.sidebar_action.isChecked()
        self.preferences.panel_visible = self.window.panel_action.isChecked()

    @Slot()
    def _save_preferences(self) -> None:
        if not self.writable:
            return  # a notice at the start reported it
        try:
            prefs.save(self._profile.folder, self.preferences)
        except OSError as error:
            log.window.warning("preferences not saved: %s", error)
            self._notify(notices.preferences_not_saved(error))

    # ---- notices ------------------------------------------------------------------

    @Slot(ErrorReport)
    def show_error(self, report: ErrorReport) -> None:
        """Show an error of the user's world where it can be read and acted on."""
        action = {}
        if report.code == EngineKeepsDying.__name__:
            action = {"action": tr("Start engine"), "on_action": self._restart_engine}
        self._notify(Notice(report.text(), Level.ERROR, **action))

    def _restart_engine(self) -> None:
        self.engine.restart()
        self.models.load_chosen()

    @Slot(str)
    def _on_bug(self, detail: str) -> None:
        self._notify(notices.unexpected(detail, self._profile.folder))

    @Slot(object)
    def _on_store_opened(self, opening: Opening) -> None:
        """One sentence at the start when the conversations are not as they should be."""
        self.writable = opening.writable
        self._opening = opening
        if not opening.writable:
            self.presenters[0].set_view_only(self._why_view_only())
        if (notice := notices.store_opened(opening, self._profile.folder)) is not None:
            self._notify(notice)

    def _why_view_only(self) -> str:
        return notices.view_only(self._opening, self._profile.folder)

    @Slot()
    def _hold_open_while_unsaved(self) -> None:
        """Closing would lose text that the disk refused: ask first."""
        text = tr("Some text could not be saved yet and would be lost.")
        self.window.hold_open(text if self.chat.pending_writes.waiting else "")

    @Slot()
    def _on_recovered(self) -> None:
        self._notify(notices.saved_after_all())

    def _notify(self, notice: Notice) -> None:
        self.window.notices.show_notice(notice)


def _application() -> QApplication:
    application = QApplication.instance()
    assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
    return application

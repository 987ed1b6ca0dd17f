"""The conversation on the screen, with all that is asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import Qt, QTimer, SignalInstance, Slot
from PySide6.QtGui import QGuiApplication, QKeySequence

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings, PromptCacheSettings, SamplingSettings
from deepseek_r1.documents.index import INDEX_FILE
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions, UndoHistory
from r1desk.chat.answers.presets import PresetController
from r1desk.chat.answers.prompt_preparation import PromptPreparation
from r1desk.chat.answers.settings_controller import ChatSettingsController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.context.document_reading import DocumentReading
from r1desk.chat.context.measured_speed import MeasuredSpeed
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.chat.context.token_counter import TokenCounter
from r1desk.chat.presenters.answer_actions import AnswerActions
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.document_lists import DocumentLists
from r1desk.chat.presenters.presenter import ChatPresenter, ComposerRowPresenter
from r1desk.chat.presenters.prompt_library import PromptLibrary
from r1desk.chat.presenters.question_sender import QuestionSender
from r1desk.chat.presenters.request_handler import RequestHandler
from r1desk.chat.values.prompt import with_documents
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.features import Feature, Services
from r1desk.store import ChatMessage, ConversationSettings, FolderInfo
from r1desk.widgets.notice_bar import Level, Notice

PROMPTS_FOLDER = "prompts"  # of the profile
UNLOADED_CONTEXT = 4096  # tokens that documents may fill before any model was loaded
NOT_SAVED = "not saved"  # a topic of notices
TRIM_DELAY_MS = 3000  # after another conversation is shown


class AnsweringModel(Protocol):
    """The models' controller, as the chat needs it.

    Signals:
        loaded: `ModelLoaded`.
    """

    loaded: SignalInstance
    current: ModelLoaded | None
    name: str  # for the answers that it writes
    next_path: Path | None  # of the model that answers next: the one being loaded, or the chosen
    facts: ModelFacts | None  # of the loaded model
    ready: bool  # a question would be answered at once

    def ensure_loading(self) -> None:
        """Load the remembered model unless one is loaded or loading."""

    def choose(self, path: Path) -> None:
        """Load another model."""

    def use(self, path: str) -> bool:
        """Load this model unless it answers next, or none is named; False where it has gone."""

    def apply(self, settings: LoadSettings) -> None:
        """Load the model anew with other settings."""

    def reduce_weights(self, mib: float) -> EngineRequest | None:
        """Let its weights have so much less, until the next call; None where they cannot."""


class ChatFeature(Feature):
    """Owns the chat's controllers. Main thread."""

    def __init__(self, services: Services, models: AnsweringModel) -> None:
        super().__init__()
        self._services, self._models = services, models
        self._last_context = UNLOADED_CONTEXT
        engine, store = services.engine, services.store
        self.controller = chat = ChatController(
            engine,
            store,
            lambda: models.name,
            self._defaults,
            model_path=lambda: str(models.next_path or ""),
            context_length=self._context_length,
            document_text=lambda sources: self.documents.document_text(sources, strict=True),
        )
        self.settings = settings = ChatSettingsController(store, chat, services.preferences)
        chat.new_chat_defaults = settings.new_chat_values
        self.presets = PresetController(store, self)
        self.history = UndoHistory(chat)
        self._actions = MessageActions(store, chat, self.history)
        self._speed = MeasuredSpeed(engine)
        counter = TokenCounter(engine, lambda: models.ready)
        index = services.profile / INDEX_FILE if services.can_write else None
        self.documents = documents = ChatDocuments(
            chat,
            store,
            counter,
            self.history,
            index,
            speed=self._speed,
            settings=lambda: settings.present,
            context_length=self._context_for_documents,
            compares=lambda: models.ready and bool(models.facts and models.facts.embedding_model),
            budget_mib=self._budget_mib,
            reduce_weights=models.reduce_weights,
        )
        self._reading = DocumentReading(
            engine, chat, store, documents, lambda: models.facts.name if models.facts else ""
        )
        self.sizes = PromptSizeController(
            chat,
            counter,
            lambda: models.facts,
            self._settings_with_documents,
            lambda: documents.shown,
        )
        self.overflow = ContextOverflow(
            chat,
            counter,
            engine,
            model=lambda: models.current,
            load=lambda: services.preferences.load,
            settings=self._settings_with_documents,
            speed=self._speed,
        )
        self.prompts = PromptPreparation(
            engine,
            store,
            chat,
            services.profile / PROMPTS_FOLDER if services.can_write else None,
            lambda: services.preferences.prompts,
            defaults=self._defaults,
            document_text=documents.document_text,
        )
        self._trim_timer = QTimer(self, singleShot=True, interval=TRIM_DELAY_MS)
        self._trim_timer.timeout.connect(return_free_memory)
        self._window: ChatWindow  # set by `attach`, before anything is shown
        self._presenter: ChatPresenter
        self._document_lists: DocumentLists
        self._view_only = ""
        self._connect()

    def _connect(self) -> None:
        chat, models, services = self.controller, self._models, self._services
        chat.model_wanted.connect(models.ensure_loading)
        chat.branch_shown.connect(self._on_branch_shown)
        models.loaded.connect(self._on_model_loaded)
        models.loaded.connect(self.settings.emit_model)
        models.loaded.connect(self.sizes.refresh)
        models.loaded.connect(self.prompts.restore_shown)
        self.overflow.settings_wanted.connect(models.apply)
        self.settings.defaults_changed.connect(services.save_preferences)
        self.documents.changed.connect(self.sizes.refresh)
        self.documents.cleaned.connect(self._reading.forget)
        self.documents.cleaned.connect(self.prompts.retain_present)
        QGuiApplication.instance().applicationStateChanged.connect(self._on_focus)
        chat.failed.connect(self._on_failed)
        chat.recovered.connect(self._on_recovered)
        for outcome in (chat.failed, chat.pending_writes.kept, chat.recovered):
            outcome.connect(self._hold_open_while_unsaved)

    def _defaults(self) -> tuple[SamplingSettings, str]:
        return self._services.preferences.sampling, self._services.preferences.system_prompt

    def _settings_with_documents(self) -> tuple[SamplingSettings, str]:
        """The settings of the conversation shown, its documents before the instructions."""
        sampling, system_prompt = self.settings.present
        return sampling, with_documents(self.documents.text, system_prompt)

    def _budget_mib(self) -> float:
        """Any thread."""
        comparison, current = self._services.engine.comparison, self._models.current
        if comparison is not None:
            return comparison.memory_budget
        load = self._services.preferences.load
        return current.bill.budget_mib if current is not None else load.memory_budget

    def _context_length(self) -> int:
        facts, load = self._models.facts, self._services.preferences.load
        return facts.context_length if facts is not None else load.context_length

    def _context_for_documents(self) -> int:
        """That of the model that is loaded or was last: a question loads it again."""
        self._last_context = self._context_length() or self._last_context
        return self._last_context

    @Slot(object)
    def _on_model_loaded(self, loaded: ModelLoaded) -> None:
        self._speed.reset(self.controller.shown_branch, loaded.facts.name)
        self.overflow.refresh()

    @Slot(object, list)
    def _on_branch_shown(self, _conversation_id: int | None, branch: list[ChatMessage]) -> None:
        self._speed.fill(branch, self._models.name)
        self._trim_timer.start()  # texts of the conversation before are free by now

    # ---- the window

    def attach(self, window: ChatWindow) -> None:
        """Show the chat in this window."""
        self._window, chat, engine = window, self.controller, self._services.engine
        find = QKeySequence(QKeySequence.StandardKey.Find)
        window.chats_menu.addAction(
            tr("Find in this conversation"), find, window.chat.find_bar.open_bar
        )
        files = AttachmentPresenter(window, chat, self.documents, self._reading, self._speed)
        self._presenter = presenter = ChatPresenter(
            window, chat, engine, lambda: self._models.ready
        )
        row = ComposerRowPresenter(
            window,
            files,
            self.documents,
            sizes=self.sizes,
            settings=self.settings,
            speed=self._speed,
        )
        self._models.loaded.connect(presenter.on_model_loaded)
        if self._models.current is not None:
            presenter.on_model_loaded(self._models.current)
        prompts = PromptLibrary(window, self._services.store)
        questions = QuestionSender(window, chat, self.documents, files)
        handler = RequestHandler(
            window,
            files,
            chat=chat,
            actions=self._actions,
            prompts=prompts,
            overflow=self.overflow,
            documents=self.documents,
            questions=questions,
            load_model=self._models.choose,
        )
        answer = AnswerActions(window, chat)
        self._document_lists = DocumentLists(
            window, self.documents, self._services.store, self.prompts
        )
        self.presenters = [
            self._document_lists,
            presenter,
            files,
            questions,
            row,
            handler,
            answer,
            prompts,
        ]
        presenter.set_view_only(self._view_only)
        self._hold_open_while_unsaved()

    def start(self) -> None:
        """Look whether files of folders have changed."""
        self.documents.check_files()

    @Slot(Qt.ApplicationState)
    def _on_focus(self, state: Qt.ApplicationState) -> None:
        if state is Qt.ApplicationState.ApplicationActive:
            self.documents.check_files()

    def detach(self) -> None:
        """Let go of the window; what is typed in it is kept."""
        self._window.composer.flush_draft()
        super().detach()

    def close(self) -> None:
        """Save what there is before the store is closed."""
        QGuiApplication.instance().applicationStateChanged.disconnect(self._on_focus)
        self._reading.pause()
        self.documents.close()
        self.controller.close()

    # ---- what others ask for

    def begin_chat(self, folder: FolderInfo | None = None) -> None:
        """Show an empty conversation, with what its folder has; the folder's model is loaded."""
        before, chat = self.controller.new_chat_folder, self.controller
        chat.new_chat(folder.id if folder is not None else None)
        settings = folder.settings if folder is not None else ConversationSettings()
        if folder is not None or before is not None:
            self.settings.begin(settings)
        if not self._models.use(settings.model_path):
            name = Path(settings.model_path).name
            missing = tr("The model of this folder no longer exists: {file}", file=name)
            self._services.notify(Notice(missing, Level.WARNING))

    def shown_settings(self) -> ConversationSettings:
        """Model, instructions and sampling of the chat on the screen."""
        sampling, system_prompt = self.settings.present
        return ConversationSettings(str(self._models.next_path or ""), system_prompt, sampling)

    def show_folder_documents(self, folder: FolderInfo) -> None:
        """Show the documents of a folder, to be changed."""
        self._document_lists.show_documents(folder)

    def set_view_only(self, reason: str) -> None:
        """Nothing can be sent in this profile, and why; empty where it can."""
        self._view_only = reason
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
        text = tr("Some text could not be saved yet and would be lost.")
        self._window.hold_open(text if self.controller.pending_writes.waiting else "")

    @Slot(ErrorReport)
    def _on_failed(self, report: ErrorReport) -> None:
        self._services.notify(Notice(report.text(), topic=NOT_SAVED))

    @Slot()
    def _on_recovered(self) -> None:
        self._services.withdraw(NOT_SAVED)
        text = tr("What could not be saved before is saved now.")
        self._services.notify(Notice(text, Level.INFO))

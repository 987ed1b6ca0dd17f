"""The conversation on the screen, with all that is asked of it."""

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QKeySequence

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import PromptCacheSettings
from deepseek_r1.documents.index import INDEX_FILE, DocumentIndex
from r1desk.chat.answers.chat_settings import ChatSettingsController, PresetController
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import MessageActions, UndoHistory
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.context.loaded_model import MeasuredSpeed, TokenCounter
from r1desk.chat.context.prompt_preparation import DocumentPrefill, PromptPreparation
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow
from r1desk.chat.presenters.document_lists import DocumentLists
from r1desk.chat.presenters.document_presenter import DocumentPresenter
from r1desk.chat.presenters.presenter import AnswerActions, ChatPresenter
from r1desk.chat.presenters.prompt_library import PromptLibrary
from r1desk.chat.presenters.request_handler import RequestHandler
from r1desk.features import AnsweringModel, Feature, Services
from r1desk.platform.qt_application import application
from r1desk.store import ConversationSettings, FolderInfo
from r1desk.widgets.notice_bar import Level, Notice

PROMPTS_FOLDER = "prompts"  # of the profile
NOT_SAVED = "not saved"  # a topic of notices
TRIM_DELAY_MS = 3000  # after another conversation is shown


class ChatFeature(Feature[ChatWindow]):
    """Owns the chat's controllers. Main thread."""

    def __init__(self, services: Services, models: AnsweringModel) -> None:
        super().__init__()
        self._services, self._models = services, models
        engine, store = services.engine, services.store
        index = DocumentIndex(services.profile / INDEX_FILE if services.writable else None)
        self.controller = chat = ChatController(engine, store, models, services.preferences, index)
        self.settings = settings = ChatSettingsController(chat)
        self.presets = PresetController(store, self)
        self.history = UndoHistory(chat)
        self._actions = MessageActions(chat, self.history)
        self._speed = MeasuredSpeed(chat)
        counter = TokenCounter(engine, models)
        self.documents = documents = ChatDocuments(
            chat, counter, self.history, speed=self._speed, settings=settings
        )
        self._prefill = DocumentPrefill(chat)
        self.sizes = PromptSizeController(chat, counter, models, documents)
        self.overflow = ContextOverflow(chat, counter, documents, self._speed)
        prompts = services.profile / PROMPTS_FOLDER if services.writable else None
        self.prompts = PromptPreparation(chat, prompts)
        self._trim_timer = QTimer(self, singleShot=True, interval=TRIM_DELAY_MS)
        self._trim_timer.timeout.connect(return_free_memory)
        self._window: ChatWindow  # set by `attach`, before anything is shown
        self._presenter: ChatPresenter
        self._document_lists: DocumentLists
        self._view_only = ""
        self._connect()

    def _connect(self) -> None:
        chat, models, services = self.controller, self._models, self._services
        chat.branch_shown.connect(self._on_branch_shown)
        chat.leaving.connect(self._on_leaving)
        models.loaded.connect(self.overflow.refresh)
        models.loaded.connect(self.settings.emit_model)
        models.loaded.connect(self.sizes.refresh)
        models.loaded.connect(self.prompts.restore_shown)
        self.settings.defaults_changed.connect(services.save_preferences)
        self.documents.changed.connect(self.sizes.refresh)
        self.documents.cleaned.connect(self._prefill.forget)
        self.documents.cleaned.connect(self.prompts.retain_present)
        application().applicationStateChanged.connect(self._on_focus)
        writes = chat.pending_writes
        writes.failed.connect(self._on_failed)
        writes.recovered.connect(self._on_recovered)
        for outcome in (writes.failed, writes.kept, writes.recovered):
            outcome.connect(self._hold_open_while_unsaved)

    @Slot()
    def _on_branch_shown(self) -> None:
        self._trim_timer.start()  # texts of the conversation before are free by now

    @Slot()
    def _on_leaving(self) -> None:
        """Take the document beside the chat away with it."""
        if self._window.document.name:
            self._window.document.close_button.click()

    # ---- the window

    def attach(self, window: ChatWindow) -> None:
        self._window, chat = window, self.controller
        find = QKeySequence(QKeySequence.StandardKey.Find)
        window.chats_menu.addAction(tr("Find in this chat"), find, window.chat.find_bar.open_bar)
        files = AttachmentPresenter(window, chat, self.documents, self._prefill, self._speed)
        self._presenter = presenter = ChatPresenter(
            window,
            files,
            chat=chat,
            documents=self.documents,
            sizes=self.sizes,
            settings=self.settings,
            speed=self._speed,
        )
        prompts = PromptLibrary(window, self._services.store)
        shown_document = DocumentPresenter(window, self.documents)
        handler = RequestHandler(
            window,
            files,
            chat=chat,
            actions=self._actions,
            prompts=prompts,
            overflow=self.overflow,
            documents=self.documents,
            shown_document=shown_document,
        )
        self._document_lists = DocumentLists(
            window, self.documents, self._services.store, self.prompts
        )
        answer = AnswerActions(window, chat)
        self.presenters = [
            *(self._document_lists, presenter, files, handler, shown_document, answer, prompts)
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
        application().applicationStateChanged.disconnect(self._on_focus)
        self._prefill.pause()
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
        self._document_lists.show_documents(folder)

    def set_view_only(self, reason: str) -> None:
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
        text = tr("Everything is saved again.")
        self._services.notify(Notice(text, Level.INFO))

"""Connects the chat's controllers with the widgets of the window's centre, and with its menu."""

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtGui import QGuiApplication

from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import short_name
from deepseek_r1.core.paths import STARTER_NAME
from deepseek_r1.host.protocol import EngineState
from r1desk.chat.answers.chat_settings import ChatSettingsController
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.loaded_model import MeasuredSpeed
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.chat.messages.answer_boxes import can_continue
from r1desk.chat.presenters.attachment_presenter import AttachmentPresenter
from r1desk.chat.presenters.chat_window import ChatWindow, KeyForwarder
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.markdown_blocks import last_code
from r1desk.chat.values.intents import ContinueAnswer, Regenerate, SelectVersion
from r1desk.features import Presenter
from r1desk.store import ChatMessage
from r1desk.widgets.notice_bar import Level, Notice

_VERSION = "version that a search has opened"  # a topic of notices


class ChatPresenter(Presenter):
    """Shows the conversation, the settings of the next answer, and what the next message takes."""

    def __init__(
        self,
        window: ChatWindow,
        attachments: AttachmentPresenter,
        *,
        chat: ChatController,
        documents: ChatDocuments,
        sizes: PromptSizeController,
        settings: ChatSettingsController,
        speed: MeasuredSpeed,
    ) -> None:
        super().__init__(window)
        self._window, self._chat, self._models, self._documents = (
            window,
            chat,
            chat.models,
            documents,
        )
        self._sizes, self._settings, self._speed = sizes, settings, speed
        self._view_only = ""  # why nothing can be sent at all
        self._forwarder = KeyForwarder(window, window.composer.editor)
        self._connect_controller()
        window.stop_action.triggered.connect(chat.stop)
        chat.engine.state_changed.connect(self._on_engine_state)
        chat.models.loaded.connect(self._on_model_loaded)
        composer = window.composer
        for changed in (composer.text_changed, documents.draft_changed):
            changed.connect(self._on_message_changed)
        for show in (composer.show_size, attachments.show_size):
            sizes.changed.connect(show)
            show(sizes.size)
        composer.thinking.budget_chosen.connect(settings.set_thinking_budget)
        for changed in (settings.changed, settings.defaults_changed, speed.changed):
            changed.connect(self._show_settings)
        self._on_busy_changed()
        self._show_settings()
        if chat.models.current is not None:
            self._on_model_loaded(chat.models.current)

    def _connect_controller(self) -> None:
        view, chat = self._window.chat, self._chat
        chat.branch_shown.connect(self._on_branch_shown)
        chat.match_requested.connect(view.show_match)
        chat.version_opened.connect(self._on_version_opened)
        chat.answers.streamed.connect(view.stream)
        chat.answer_finished.connect(view.finish_stream)
        chat.busy_changed.connect(self._on_busy_changed)
        chat.preparing_changed.connect(self._on_busy_changed)
        chat.leaving.connect(self._on_leaving)
        chat.draft_restored.connect(self._on_draft_restored)
        chat.answers.given_back.connect(self._on_given_back)

    @Slot(object, list)
    def _on_branch_shown(self, _conversation_id: int | None, branch: list[ChatMessage]) -> None:
        self._window.chat.show_branch(branch)
        self._show_waiting()

    def _show_waiting(self) -> None:
        """Until the first sign of the answer, show what is being waited for."""
        answer = self._chat.answer
        if answer is None or not self._chat.busy_here or answer.content or answer.thinking:
            return
        if self._models.ready:
            text = tr("Reading…")
        else:
            text = tr("Saved. It is sent once the model has loaded.")
        self._window.chat.stream_status(answer.message_id, text, None)

    @Slot(int)
    def _on_version_opened(self, left: int) -> None:
        """Say where the next question goes, which a search has changed."""
        text = tr("This is another version of the chat: your next question follows it.")
        ways = {tr("Back to the version before"): partial(self._chat.select_sibling, left)}
        self._window.notices.show_notice(Notice(text, Level.INFO, ways, topic=_VERSION))

    @Slot()
    def _on_leaving(self) -> None:
        self._window.notices.withdraw(_VERSION)
        self._window.composer.flush_draft()
        self._window.composer.clear()

    @Slot(str)
    def _on_draft_restored(self, text: str) -> None:
        typed = self._window.composer.text()  # by a user who was faster
        if not typed:
            self._window.composer.set_text(text)
        elif not typed.startswith(text):
            self._window.composer.restore_unsent(text)

    @Slot(str)
    def _on_given_back(self, text: str) -> None:
        if text:
            self._window.composer.restore_unsent(text)

    @Slot()
    def _on_busy_changed(self) -> None:
        self._window.stop_action.setEnabled(self._chat.busy_here or self._chat.preparing)
        trashed = tr("This chat is in the trash. Restore it to go on.")
        self._window.composer.set_state(
            busy=self._chat.busy_here,
            reason=self._view_only or (trashed if self._chat.trashed else ""),
            hint=self._queue_hint(),
        )

    def _queue_hint(self) -> str:
        """Explain Enter while an answer is being written; empty while none is."""
        if self._chat.answering is None:
            return ""
        if self._chat.busy_here:
            return tr("Press Enter to queue")
        return tr("Press Enter to queue: another chat is being answered")

    def set_view_only(self, reason: str) -> None:
        self._view_only = reason
        self._on_busy_changed()

    @Slot()
    def _on_message_changed(self) -> None:
        self._sizes.set_message(self._window.composer.text(), self._documents.draft)

    @Slot()
    def _show_settings(self) -> None:
        sampling, system_prompt = self._settings.present
        budget, speed = sampling.thinking_budget, self._speed.decode_tok_s
        self._window.composer.thinking.show_budget(budget, speed)
        self._window.chat.instructions.set_instructions(system_prompt)
        self._sizes.refresh()

    @Slot(object)
    def _on_model_loaded(self, loaded: ModelLoaded) -> None:
        """Name the model in the greeting, and put the cursor where a question is written.

        It may be one that does not think.
        """
        note = tr(
            "This is a very small model for trying things out: English only, and often "
            "wrong.\nFor real questions, choose a DeepSeek-R1 model at the top of the "
            "window."
        )
        is_starter = loaded.facts.name == STARTER_NAME
        name = short_name(loaded.facts.name)
        self._window.chat.welcome.set_model_name(name, note if is_starter else "")
        self._window.composer.thinking.setVisible(loaded.facts.reasons)
        self._forwarder.take_idle_focus()

    @Slot(object, str)
    def _on_engine_state(self, state: EngineState, _detail: str) -> None:
        if state in (EngineState.STARTING, EngineState.LOADING):
            self._window.chat.welcome.set_model_name(short_name(self._models.name))
            self._show_waiting()
            self._forwarder.take_idle_focus()


class AnswerActions(Presenter):
    """Another answer, go on, another version, copy: enabled where they would do something."""

    def __init__(self, window: ChatWindow, chat: ChatController) -> None:
        super().__init__(window)
        self._window, self._chat = window, chat
        self._last: ChatMessage | None = None  # if it is an ended answer
        self._several: ChatMessage | None = None  # the last message that has several versions
        add = window.answer_menu.addAction
        self._again = add(tr("Regenerate the answer"), "Ctrl+R", partial(self._ask, Regenerate))
        more = partial(self._ask, ContinueAnswer)
        self._go_on = add(tr("Continue the answer"), "Ctrl+Shift+Return", more)
        self._before = add(tr("Previous version"), "Alt+Left", partial(self._ask_version, -1))
        self._next = add(tr("Next version"), "Alt+Right", partial(self._ask_version, 1))
        self._copy = add(tr("Copy the last answer"), "Ctrl+Shift+C", self._on_copy)
        self._copy_code = add(tr("Copy the last code block"), "Ctrl+Shift+X", self._on_copy_code)
        # After the presenter that shows them.
        for changed in (chat.branch_shown, chat.answer_finished, chat.busy_changed):
            changed.connect(self._show_possible)
        self._show_possible()

    @Slot()
    def _show_possible(self) -> None:
        messages = self._window.chat.messages
        last = messages[-1] if messages else None
        ended = last is not None and last.is_answer and last.state not in ("streaming", "queued")
        self._last = last = last if ended else None
        several = (m for m in reversed(messages) if m.sibling_count > 1)
        self._several = shown = None if self._chat.busy_here else next(several, None)
        self._again.setEnabled(ended)
        self._go_on.setEnabled(last is not None and can_continue(last))
        self._before.setEnabled(shown is not None and shown.sibling_index > 0)
        self._next.setEnabled(shown is not None and shown.sibling_index < shown.sibling_count - 1)
        for copy in (self._copy, self._copy_code):
            copy.setEnabled(last is not None and bool(last.content))

    def _ask(self, intent: type[Regenerate | ContinueAnswer]) -> None:
        if self._last is not None:
            self._window.chat.requested.emit(intent(self._last.id))

    def _ask_version(self, delta: int) -> None:
        if self._several is not None:
            self._window.chat.requested.emit(SelectVersion(self._several.id, delta))

    @property
    def _text(self) -> str:
        return self._last.content if self._last is not None else ""

    @Slot()
    def _on_copy(self) -> None:
        self._take(self._text, tr("The last answer was copied."))

    @Slot()
    def _on_copy_code(self) -> None:
        code = last_code(self._text)
        missing = tr("The last answer has no code block.")
        self._take(code, tr("The last code block was copied.") if code else missing)

    def _take(self, text: str, notice: str) -> None:
        if text:
            QGuiApplication.clipboard().setText(fit.clipped(text))
        self._window.notices.show_notice(Notice(notice, Level.INFO))

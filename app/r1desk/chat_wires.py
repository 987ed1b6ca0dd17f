"""The wires between the chat controller and the widgets of the centre."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded, PrefillProgress
from deepseek_r1.core.paths import STARTER_NAME
from deepseek_r1.core.words import tr
from deepseek_r1.host.notices import EngineState
from r1desk.bridge import EngineBridge
from r1desk.chat.values import ShownMessage
from r1desk.chat_controller import ChatController
from r1desk.dialogs.link import ask_to_open
from r1desk.dialogs.notice_bar import Level, Notice
from r1desk.main_window import MainWindow
from r1desk.model_controller import ModelController


class ChatWires(QObject):
    """Shows what the controller says and tells it what the user wants."""

    def __init__(
        self,
        window: MainWindow,
        chat: ChatController,
        models: ModelController,
        engine: EngineBridge,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._chat = chat
        self._models = models
        self._engine = engine
        self._view_only = ""  # why nothing can be sent at all
        self._connect_controller()
        self._connect_widgets()
        models.loaded.connect(self._on_loaded)
        engine.state_changed.connect(self._on_engine_state)
        self._on_busy_changed()
        if models.current is not None:
            self._on_loaded(models.current)

    def close(self) -> None:
        """Disconnect before the window goes."""
        self.deleteLater()

    def _connect_controller(self) -> None:
        view, chat = self._window.chat, self._chat
        chat.branch_shown.connect(self._on_branch_shown)
        chat.answer_started.connect(view.begin_stream)
        chat.thinking_streamed.connect(view.stream_thinking)
        chat.answer_streamed.connect(view.stream_answer)
        chat.thinking_finished.connect(view.thinking_finished)
        chat.prefill_progressed.connect(self._on_prefill)
        chat.answer_finished.connect(view.finish_stream)
        chat.busy_changed.connect(self._on_busy_changed)
        chat.leaving.connect(self._on_leaving)
        chat.draft_restored.connect(self._on_draft_restored)
        chat.send_failed.connect(self._on_send_failed)

    def _connect_widgets(self) -> None:
        view, composer, chat = self._window.chat, self._window.composer, self._chat
        view.edit_requested.connect(chat.edit)
        view.regenerate_requested.connect(chat.regenerate)
        view.sibling_requested.connect(chat.select_sibling)
        view.stop_requested.connect(chat.stop)
        view.link_activated.connect(self._on_link)
        view.example_chosen.connect(chat.send)
        self._window.stop_requested.connect(chat.stop)
        self._window.regenerate_requested.connect(chat.regenerate_last)
        composer.submitted.connect(chat.send)
        composer.stop_requested.connect(chat.stop)
        composer.draft_changed.connect(chat.save_draft)
        composer.edit_last_requested.connect(view.edit_last)

    @Slot(object, list)
    def _on_branch_shown(self, _conversation_id: int | None, branch: list[ShownMessage]) -> None:
        self._window.chat.show_branch(branch)
        answer = self._chat.answer
        if answer is not None and self._chat.busy_here:
            self._say_waiting(answer.message_id)

    def _say_waiting(self, message_id: int) -> None:
        """Until the first sign of the answer: what is being waited for."""
        if self._models.loading or self._models.current is None:
            text = tr("The message is saved and goes to the model as soon as it is loaded.")
        else:
            text = tr("Reading…")
        self._window.chat.stream_status(message_id, text, None)

    @Slot(int, object)
    def _on_prefill(self, message_id: int, progress: PrefillProgress) -> None:
        if progress.done < progress.total:  # else the first word is about to take its place
            done, total, cached = progress.done, progress.total, progress.cached
            self._window.chat.stream_reading(message_id, done, total, cached)

    @Slot()
    def _on_leaving(self) -> None:
        self._window.composer.flush_draft()
        self._window.composer.clear()

    @Slot(str)
    def _on_draft_restored(self, text: str) -> None:
        if not self._window.composer.text():  # else the user is already typing
            self._window.composer.set_text(text)

    @Slot(str, ErrorReport)
    def _on_send_failed(self, text: str, report: ErrorReport) -> None:
        if text:
            self._window.composer.give_back(text)
        self._window.notices.show_notice(Notice(report.text(), Level.ERROR))

    @Slot()
    def _on_busy_changed(self) -> None:
        composer = self._window.composer
        composer.set_busy(self._chat.busy_here)
        self._window.stop_action.setEnabled(self._chat.busy_here)
        elsewhere = self._chat.busy and not self._chat.busy_here
        composer.set_enabled_reason(
            tr("Another conversation is being answered; wait for it or stop it there.")
            if elsewhere
            else self._view_only
        )

    def set_view_only(self, reason: str) -> None:
        """Nothing can be sent in this profile, and why; empty where it can."""
        self._view_only = reason
        self._on_busy_changed()

    @Slot(object)
    def _on_loaded(self, loaded: ModelLoaded) -> None:
        note = tr(
            "It is a very small model to try things out with: English only, and often wrong.\n"
            "For real questions choose one of DeepSeek-R1's models on the right."
        )
        is_starter = loaded.facts.name == STARTER_NAME
        self._window.chat.set_model_name(loaded.facts.name, note if is_starter else "")

    @Slot(object, str)
    def _on_engine_state(self, state: EngineState, _detail: str) -> None:
        answer = self._chat.answer
        waiting = answer is not None and not answer.content and not answer.thinking
        if answer is not None and waiting and state in (EngineState.STARTING, EngineState.LOADING):
            self._say_waiting(answer.message_id)

    @Slot(str)
    def _on_link(self, address: str) -> None:
        ask_to_open(
            address, self._window, tr("The model wrote this link. Open it in your browser?")
        )

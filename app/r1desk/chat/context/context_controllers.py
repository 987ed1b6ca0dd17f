"""The controllers that measure the conversation shown against the context of the loaded model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, QTimer, SignalInstance, Slot

from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.heap import return_free_memory
from deepseek_r1.core.settings import LoadSettings
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.settings_controller import ChatSettingsController
from r1desk.chat.context.context_overflow import ContextOverflow, ModelInUse
from r1desk.chat.context.measured_speed import MeasuredSpeed
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.chat.context.summary_controller import SummaryController
from r1desk.chat.context.token_counter import TokenCounter
from r1desk.chat.values.prompt import memory_start
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences
from r1desk.store import ChatMessage, Store

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

    def apply(self, settings: LoadSettings) -> None:
        """Load the model anew with other settings."""


class ContextControllers(QObject):
    """Creates and connects them; they live as long as the application. Main thread."""

    def __init__(
        self,
        engine: EngineBridge,
        models: AnsweringModel,
        chat: ChatController,
        settings: ChatSettingsController,
        *,
        preferences: Preferences,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._models, self._chat, self._preferences = models, chat, preferences
        self.speed = MeasuredSpeed(engine)
        counter = TokenCounter(engine, lambda: models.ready, self)
        self.sizes = PromptSizeController(
            chat, counter, lambda: models.facts, lambda: settings.present
        )
        self.memory = MemoryController(chat)
        self.summaries = SummaryController(chat)
        self.overflow = ContextOverflow(
            chat,
            counter,
            engine,
            model=self._model_in_use,
            settings=lambda: settings.present,
            speed=self.speed,
            summaries=self.summaries,
        )
        self.overflow.settings_wanted.connect(models.apply)
        self._trim_timer = QTimer(self, singleShot=True, interval=TRIM_DELAY_MS)
        self._trim_timer.timeout.connect(return_free_memory)
        models.loaded.connect(self._on_model_loaded)
        chat.branch_shown.connect(self._on_branch_shown)

    def _model_in_use(self) -> ModelInUse | None:
        current = self._models.current
        if current is None:
            return None
        return ModelInUse(
            current.facts, current.bill, self._preferences.load, window_and_helpers_mib()
        )

    @Slot(object)
    def _on_model_loaded(self, loaded: ModelLoaded) -> None:
        self.speed.reset(self._chat.shown_branch, loaded.facts.name)
        self.overflow.refresh()

    @Slot(object, list)
    def _on_branch_shown(self, _conversation_id: int | None, branch: list[ChatMessage]) -> None:
        self.speed.fill(branch, self._models.name)
        self._trim_timer.start()  # texts of the conversation before are free by now


class MemoryController(QObject):
    """Moves the line above the first message that the model reads. Main thread."""

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._chat = chat

    @Slot(int)
    def move(self, turns: int) -> None:
        """Move the line by so many turns, later with a positive number; 0 removes it."""
        branch = self._chat.shown_branch
        questions = [i for i, message in enumerate(branch) if not message.is_answer]
        start = memory_start(branch)
        if not branch or start not in questions:
            return
        position = questions.index(start) + turns if turns else 0
        if position < len(questions):
            self._set(branch[questions[position]].id if position > 0 else None)

    def _set(self, message_id: int | None) -> None:
        leaf = self._chat.shown_branch[-1].id

        def change(store: Store) -> None:
            store.messages.set_memory_start(leaf, message_id)

        self._chat.change_branch(change)

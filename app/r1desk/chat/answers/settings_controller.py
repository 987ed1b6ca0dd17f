"""Sampling and system prompt of the conversation on the screen."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_scheduler import effective
from r1desk.chat.answers.controller import ChatController
from r1desk.preferences import Preferences
from r1desk.store import ConversationSettings
from r1desk.store.store_bridge import StoreBridge, report_of


class ChatSettingsController(QObject):
    """Reads the settings of the conversation shown, and stores changes of them.

    While no stored conversation is shown, a change is one of the defaults for new ones.
    """

    shown = Signal(object, str)  # SamplingSettings, system prompt: of another conversation
    system_prompt_changed = Signal(str)  # of the conversation shown
    model_shown = Signal(str)  # path of the model that answered last; "" where it is not known
    sampling_changed = Signal(object)  # SamplingSettings of the conversation shown
    defaults_changed = Signal()
    values_changed = Signal()  # the user changed sampling or system prompt of what is shown
    failed = Signal(object)  # ErrorReport

    def __init__(self, store: StoreBridge, chat: ChatController, defaults: Preferences) -> None:
        super().__init__()
        self._store = store
        self._defaults = defaults
        self._conversation: int | None = None
        self._current = ConversationSettings()
        self._new_chat: tuple[SamplingSettings, str] | None = None  # a preset, before the chat
        self._changes = 0  # counts the user's changes, to tell which reading is outdated
        self.loaded = True  # False while the settings of the conversation shown are being read
        chat.branch_shown.connect(self._on_branch_shown)

    @Slot()
    def emit_model(self) -> None:
        """Emit the model of the conversation shown."""
        self.model_shown.emit(self._current.model_path)

    def new_chat_values(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt of the conversation that begins with the next message."""
        return self._new_chat or self._default_values()

    def apply(self, sampling: SamplingSettings, system_prompt: str) -> None:
        """Replace both for the conversation shown. Before the first message they are for the new
        chat alone: the defaults stay.
        """
        if self._conversation is None:
            self._new_chat = (sampling, system_prompt)
        else:
            self._save(replace(self._current, sampling=sampling, system_prompt=system_prompt))
        self.emit_shown()

    @Slot(object)
    def set_sampling(self, sampling: SamplingSettings) -> None:
        """Change the sampling of the conversation shown, or of new ones."""
        if self._conversation is not None:
            self._save(replace(self._filled(), sampling=sampling))
        elif self._new_chat is not None:
            self._new_chat = (sampling, self._new_chat[1])
        else:
            self._defaults.sampling = sampling
            self.defaults_changed.emit()
        self.values_changed.emit()
        self.sampling_changed.emit(sampling)

    @Slot(object)
    def set_thinking_budget(self, budget: int | None) -> None:
        """Change the thinking budget of the conversation shown, or of new ones."""
        sampling, system_prompt = self.present
        sampling = sampling.model_copy(update={"thinking_budget": budget})
        self.set_sampling(sampling)
        self.shown.emit(sampling, system_prompt)

    @property
    def default_thinking_budget(self) -> int | None:
        """The thinking budget of new conversations."""
        return self._defaults.sampling.thinking_budget

    @Slot(object)
    def set_default_thinking_budget(self, budget: int | None) -> None:
        """Change the thinking budget of new conversations."""
        changed = {"thinking_budget": budget}
        self._defaults.sampling = self._defaults.sampling.model_copy(update=changed)
        self.defaults_changed.emit()

    @property
    def present(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt of the conversation shown, or of the new chat."""
        if self._conversation is None:
            return self.new_chat_values()
        return effective(self._current, self._default_values)

    @Slot(str)
    def set_system_prompt(self, text: str) -> None:
        """Change the system prompt of the conversation shown, or of new ones."""
        if self._conversation is not None:
            self._save(replace(self._filled(), system_prompt=text))
        elif self._new_chat is not None:
            self._new_chat = (self._new_chat[0], text)
        else:
            self._defaults.system_prompt = text
            self.defaults_changed.emit()
        self.system_prompt_changed.emit(text)
        self.values_changed.emit()

    def _filled(self) -> ConversationSettings:
        """The settings with the defaults made its own: a change is for this conversation alone."""
        sampling, system_prompt = effective(self._current, self._default_values)
        return replace(self._current, sampling=sampling, system_prompt=system_prompt)

    def _default_values(self) -> tuple[SamplingSettings, str]:
        return self._defaults.sampling, self._defaults.system_prompt

    def _save(self, settings: ConversationSettings) -> None:
        self.loaded = True
        self._changes += 1
        self._current = settings
        conversation = self._conversation
        assert conversation is not None  # noqa: S101 - the callers looked
        self._store.call(
            lambda store: store.conversations.save_settings(conversation, settings),
            None,
            self._on_failed,
        )

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        if conversation_id is None and self._conversation is None:
            return  # the new chat is shown already: what is being typed for it stays
        self._new_chat = None
        is_same = conversation_id is not None and conversation_id == self._conversation
        if not is_same:
            self._conversation = conversation_id
            self._current = ConversationSettings()
            self.loaded = conversation_id is None
        if conversation_id is None:
            self.emit_shown()
            return
        changes = self._changes

        def loaded(settings: ConversationSettings) -> None:
            if conversation_id != self._conversation or changes != self._changes:
                return  # older than what is shown
            self.loaded = True
            self._current = settings
            if is_same:  # only the model may be another
                self.emit_model()
            else:
                self.emit_shown()

        self._store.call(
            lambda store: store.conversations.settings(conversation_id), loaded, self._on_failed
        )

    def emit_shown(self) -> None:
        """Emit the present settings."""
        sampling, system_prompt = self.present
        self.shown.emit(sampling, system_prompt)
        self.sampling_changed.emit(sampling)
        self.system_prompt_changed.emit(system_prompt)
        self.model_shown.emit(self._current.model_path)

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(report_of(error))

"""Sampling and system prompt of the conversation on the screen."""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_queue import effective
from r1desk.chat.answers.controller import ChatController
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.preferences import Preferences
from r1desk.store import ConversationSettings, Store
from r1desk.store.store_bridge import StoreBridge


class ChatSettingsController(QObject):
    """Reads the settings of the conversation shown, and stores changes of them.

    While no stored conversation is shown, they are those of the chat that is about to begin.
    """

    shown = Signal(object, str)  # SamplingSettings, system prompt: of another conversation
    changed = Signal(object, str)  # the same, also where the user changed them
    model_shown = Signal(str)  # path of the model that answered last; "" where it is not known
    defaults_changed = Signal()

    def __init__(self, store: StoreBridge, chat: ChatController, defaults: Preferences) -> None:
        super().__init__()
        self._store, self._defaults = store, defaults
        self._conversation: int | None = None
        self._current = ConversationSettings()
        self._new_chat: tuple[SamplingSettings, str] | None = None  # chosen before the chat
        self.tasks = Tasks(self, chat.report_failure)
        chat.branch_shown.connect(self._on_branch_shown)

    @Slot()
    def emit_model(self) -> None:
        """Emit the model of the conversation shown."""
        self.model_shown.emit(self._current.model_path)

    def new_chat_values(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt of the conversation that begins with the next message."""
        return self._new_chat or self._default_values()

    @property
    def present(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt of the conversation shown, or of the new chat."""
        if self._conversation is None:
            return self.new_chat_values()
        return effective(self._current, self._defaults)

    def _default_values(self) -> tuple[SamplingSettings, str]:
        return self._defaults.sampling, self._defaults.system_prompt

    # ---- what the user changes

    def begin(self, folder: ConversationSettings) -> None:
        """Let the new chat begin with what its folder has, and else with the defaults."""
        sampling, system_prompt = self._default_values()
        if folder.sampling is None and not folder.system_prompt:
            self._new_chat = None
        else:
            self._new_chat = (folder.sampling or sampling, folder.system_prompt or system_prompt)
        self.emit_shown()

    def apply(self, sampling: SamplingSettings, system_prompt: str) -> None:
        """Replace both for the conversation shown; the defaults stay."""
        self.change(sampling, system_prompt)
        self.emit_shown()

    @Slot(object)
    def set_sampling(self, sampling: SamplingSettings) -> None:
        """Change the sampling of the conversation shown."""
        self.change(sampling, self.present[1])

    @Slot(object)
    def set_thinking_budget(self, budget: int | None) -> None:
        """Change the thinking budget of the conversation shown."""
        self.set_sampling(self.present[0].model_copy(update={"thinking_budget": budget}))
        self.shown.emit(*self.present)

    @property
    def are_defaults(self) -> bool:
        """Whether new conversations begin with the present settings."""
        return self.present == self._default_values()

    @Slot()
    def make_defaults(self) -> None:
        """Let new conversations begin with the present settings."""
        self._defaults.sampling, self._defaults.system_prompt = self.present
        self.defaults_changed.emit()

    @Slot(object, str)
    def change(self, sampling: SamplingSettings, system_prompt: str) -> None:
        """Keep both, of which one may have been a default, for the conversation shown."""
        if (conversation := self._conversation) is None:
            self._new_chat = (sampling, system_prompt)
        else:
            self.tasks.end(self._read)  # what was stored is older
            self._current = replace(self._current, sampling=sampling, system_prompt=system_prompt)

            def save(store: Store) -> None:  # the model too may still be unread
                stored = store.conversations.settings(conversation)
                changed = replace(stored, sampling=sampling, system_prompt=system_prompt)
                store.conversations.save_settings(conversation, changed)

            self._store.call(save)
        self.changed.emit(sampling, system_prompt)

    # ---- what is shown

    @Slot(object, list)
    def _on_branch_shown(self, conversation_id: int | None, _branch: list[object]) -> None:
        if conversation_id is None and self._conversation is None:
            return  # the new chat is shown already: what is being typed for it stays
        self.tasks.end(self._read)
        self._new_chat = None
        is_same = conversation_id is not None and conversation_id == self._conversation
        if not is_same:
            self._conversation = conversation_id
            self._current = ConversationSettings()
        if conversation_id is None:
            self.emit_shown()
        else:
            self._read(conversation_id, is_same=is_same)

    @newest_task
    async def _read(self, conversation_id: int, *, is_same: bool) -> None:
        self._current = await self._store.ask(
            lambda store: store.conversations.settings(conversation_id)
        )
        if is_same:  # only the model may be another
            self.emit_model()
        else:
            self.emit_shown()

    def emit_shown(self) -> None:
        present = self.present
        self.shown.emit(*present)
        self.changed.emit(*present)
        self.emit_model()

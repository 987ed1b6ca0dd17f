"""Sampling and system prompt: of the conversation on the screen, and presets of both."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from r1desk.chat.answers.answer_queue import effective
from r1desk.chat.answers.controller import ChatController
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import ConversationSettings, Store
from r1desk.store.store_bridge import StoreBridge

_KEY = "presets"
NAME_CHARACTERS = 60


class ChatSettingsController(QObject):
    """Reads the settings of the conversation shown, and stores changes of them.

    While no stored conversation is shown, they are those of the chat that is about to begin.
    """

    shown = Signal(object, str)  # SamplingSettings, system prompt: of another conversation
    changed = Signal(object, str)  # the same, also where the user changed them
    model_shown = Signal(str)  # path of the model that answered last; "" where it is not known
    defaults_changed = Signal()

    def __init__(self, chat: ChatController) -> None:
        super().__init__()
        self._store, self._chat, self._defaults = chat.store, chat, chat.preferences
        self._conversation: int | None = None
        self._current = ConversationSettings()
        self.tasks = Tasks(self, chat.report_failure)
        chat.branch_shown.connect(self._on_branch_shown)

    @Slot()
    def emit_model(self) -> None:
        self.model_shown.emit(self._current.model_path)

    @property
    def present(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt of the conversation shown, or of the new chat."""
        if self._conversation is None:
            return self._chat.new_chat_settings or self._default_values()
        return effective(self._current, self._defaults)

    def _default_values(self) -> tuple[SamplingSettings, str]:
        return self._defaults.sampling, self._defaults.system_prompt

    # ---- what the user changes

    def begin(self, folder: ConversationSettings) -> None:
        """Let the new chat begin with what its folder has, and else with the defaults."""
        sampling, system_prompt = self._default_values()
        if folder.sampling is None and not folder.system_prompt:
            self._chat.new_chat_settings = None
        else:
            self._chat.new_chat_settings = (
                folder.sampling or sampling,
                folder.system_prompt or system_prompt,
            )
        self.emit_shown()

    def apply(self, sampling: SamplingSettings, system_prompt: str) -> None:
        self.change(sampling, system_prompt)
        self.emit_shown()

    @Slot(object)
    def set_sampling(self, sampling: SamplingSettings) -> None:
        self.change(sampling, self.present[1])

    @Slot(object)
    def set_thinking_budget(self, budget: int | None) -> None:
        self.set_sampling(self.present[0].model_copy(update={"thinking_budget": budget}))
        self.shown.emit(*self.present)

    @property
    def are_defaults(self) -> bool:
        """Whether new conversations begin with the present settings."""
        return self.present == self._default_values()

    @Slot()
    def make_defaults(self) -> None:
        self._defaults.sampling, self._defaults.system_prompt = self.present
        self.defaults_changed.emit()

    @Slot(object, str)
    def change(self, sampling: SamplingSettings, system_prompt: str) -> None:
        """Keep both, of which one may have been a default, for the conversation shown."""
        if (conversation := self._conversation) is None:
            self._chat.new_chat_settings = (sampling, system_prompt)
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
        self._chat.new_chat_settings = None
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


class Preset(BaseModel):
    """One preset. `key` is "" for a built-in one, whose name and text follow the language."""

    model_config = ConfigDict(frozen=True)

    name: str
    system_prompt: str = ""
    sampling: SamplingSettings = SamplingSettings()
    model_path: str = ""  # "" keeps the model that is loaded
    key: str = ""
    icon: str = "pencil"

    @property
    def is_built_in(self) -> bool:
        return not self.key

    def matches(self, sampling: SamplingSettings, system_prompt: str) -> bool:
        own = self.sampling
        if own.thinking_budget is None:  # it is the conversation's
            sampling = sampling.model_copy(update={"thinking_budget": None})
        return sampling == own and system_prompt.strip() == self.system_prompt.strip()


def built_in_presets() -> tuple[Preset, ...]:
    """The presets that are always there, in the window's language."""
    exact, creative = (
        SamplingSettings(temperature=0.3),
        SamplingSettings(temperature=1.0, top_p=0.98),
    )
    mathematics = tr("Please reason step by step, and put your final answer within \\boxed{}.")
    code = tr(
        "Answer with complete code that runs as it stands, then explain it in a few sentences."
    )
    short = tr("Answer in at most three sentences.")
    english = tr("Translate every message into English. Write the translation and nothing else.")
    chinese = tr("Translate every message into Chinese. Write the translation and nothing else.")
    return (
        Preset(name=tr("Default"), icon="chat"),
        Preset(name=tr("Mathematics"), system_prompt=mathematics, icon="sum"),
        Preset(name=tr("Code"), system_prompt=code, sampling=exact, icon="code"),
        Preset(name=tr("Short answers"), system_prompt=short, icon="short-text"),
        Preset(
            name=tr("Translate into English"),
            system_prompt=english,
            sampling=exact,
            icon="language",
        ),
        Preset(
            name=tr("Translate into Chinese"),
            system_prompt=chinese,
            sampling=exact,
            icon="language",
        ),
        Preset(name=tr("Creative"), sampling=creative, icon="bulb"),
    )


class PresetController(QObject):
    """Owns the user's presets; the store keeps them. Main thread.

    A change that could not be stored is in force until the end.
    """

    changed = Signal()  # the user's presets are other ones

    def __init__(self, store: StoreBridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._own: tuple[Preset, ...] = ()
        self.tasks = Tasks(self, store.failed.emit)
        self._read()

    @property
    def presets(self) -> tuple[Preset, ...]:
        return (*built_in_presets(), *self._own)

    def save(self, preset: Preset) -> Preset:
        """Keep a new preset; returned with its key."""
        kept = preset.model_copy(
            update={"key": uuid4().hex, "name": preset.name.strip()[:NAME_CHARACTERS]}
        )
        self._keep(*self._own, kept)
        return kept

    def replace(self, preset: Preset) -> None:
        """Store a preset of the user's with another name or other settings."""
        self._keep(*(preset if known.key == preset.key else known for known in self._own))

    def delete(self, preset: Preset) -> Callable[[], None]:
        """Delete a preset of the user's; returns what brings it back."""
        place = self._own.index(preset)
        self._keep(*(known for known in self._own if known.key != preset.key))
        return partial(self._bring_back, preset, place)

    def _bring_back(self, preset: Preset, place: int) -> None:
        self._keep(*self._own[:place], preset, *self._own[place:])

    def _keep(self, *own: Preset) -> None:
        self._own = own
        values = [preset.model_dump(mode="json") for preset in self._own]
        self._store.remember_value(_KEY, values)
        self.changed.emit()

    @task
    async def _read(self) -> None:
        stored = await self._store.value(_KEY)
        values = stored if isinstance(stored, list) else []
        self._own = tuple(preset for preset in map(_valid, values) if preset is not None)
        self.changed.emit()


def _valid(value: object) -> Preset | None:
    try:
        return Preset.model_validate(value)
    except ValidationError as problem:
        log.store.warning("a stored preset is unreadable: %d problems", problem.error_count())
        return None

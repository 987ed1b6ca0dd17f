"""Presets: named sets of instructions and sampling, with a model or without."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from PySide6.QtCore import QObject, Signal

from deepseek_r1.core import log
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings
from r1desk.platform.tasks import Tasks, task
from r1desk.store.store_bridge import StoreBridge

_KEY = "presets"
NAME_CHARACTERS = 60


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
        """True for one that cannot be changed."""
        return not self.key

    def matches(self, sampling: SamplingSettings, system_prompt: str) -> bool:
        """True where these settings are the preset's."""
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
        """All presets, the built-in ones first."""
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

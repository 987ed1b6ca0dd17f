"""The model that answers in the chat, with the test in its place."""

from pathlib import Path
from types import SimpleNamespace

from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.settings import LoadSettings, SamplingSettings


class ModelsDouble:
    """As `AnsweringModel`; a test sets what it has."""

    def __init__(self, context_length: int) -> None:
        self.name = "Model"
        self.next_path: Path | None = None
        self.context_length, self.budget_mib = context_length, float("inf")
        self.current: ModelLoaded | None = None
        self.facts: ModelFacts | None = None
        self.ready = False
        self.loaded = SimpleNamespace(connect=lambda _slot: None)
        self.settings = LoadSettings()
        self.applied: list[LoadSettings] = []
        self.apply = self.applied.append

    def ensure_loading(self) -> None:
        """The test loads it."""

    async def reduce_weights(self, _mib: float) -> bool:
        """They cannot have less."""
        return False


class SettingsDouble:
    """As `ChatSettingsController` and `Preferences`."""

    def __init__(self, sampling: SamplingSettings, system_prompt: str) -> None:
        self.sampling, self.system_prompt = sampling, system_prompt

    @property
    def present(self) -> tuple[SamplingSettings, str]:
        """Sampling and system prompt."""
        return self.sampling, self.system_prompt

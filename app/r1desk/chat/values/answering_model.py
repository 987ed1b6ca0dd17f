"""Protocols for what the chat needs of others: a model, defaults, texts of documents."""

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import SignalInstance

from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from r1desk.store import AnswerSources


class AnsweringModel(Protocol):
    """The `ModelController`, as the chat needs it."""

    @property
    def loaded(self) -> SignalInstance: ...  # `ModelLoaded`
    @property
    def current(self) -> ModelLoaded | None: ...
    @property
    def facts(self) -> ModelFacts | None: ...  # of the loaded model
    @property
    def ready(self) -> bool: ...  # a question would be answered at once
    @property
    def name(self) -> str: ...  # for the answers that it writes
    @property
    def next_path(self) -> Path | None: ...  # the one being loaded, else the chosen one
    @property
    def settings(self) -> LoadSettings: ...  # those in force
    @property
    def context_length(self) -> int: ...
    @property
    def budget_mib(self) -> float: ...

    def ensure_loading(self) -> None: ...
    def choose(self, path: Path) -> None: ...
    def use(self, path: str) -> bool: ...
    def apply(self, settings: LoadSettings) -> None: ...
    async def reduce_weights(self, mib: float) -> bool: ...


class Defaults(Protocol):
    """Sampling and instructions of conversations without settings of their own."""

    sampling: SamplingSettings
    system_prompt: str


class DocumentTexts(Protocol):
    """The texts of documents, as `ChatDocuments` has them."""

    def document_text(self, sources: AnswerSources | None, *, strict: bool = False) -> str: ...

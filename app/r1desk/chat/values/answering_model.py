"""The model that answers, as the chat knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PySide6.QtCore import SignalInstance

from deepseek_r1.core.events import ModelFacts, ModelLoaded
from deepseek_r1.core.settings import LoadSettings


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

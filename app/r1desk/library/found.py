"""Looking through this computer's models without stopping the window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.catalogue.installed import InstalledModel, installed_models
from r1desk.background import in_background


class ModelSearch(QObject):
    """Reads the headers of all models on this machine in a thread of its own. Needs no parent."""

    found = Signal(tuple)  # of InstalledModel; emitted in a thread of its own

    def start(self, opened: Sequence[Path]) -> None:
        """Look, then emit `found` once."""
        in_background(self, partial(self._look, tuple(opened)))

    def _look(self, opened: tuple[Path, ...]) -> None:
        models: tuple[InstalledModel, ...] = installed_models(opened)
        self.found.emit(models)

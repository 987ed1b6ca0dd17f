"""Looking through this computer's models without stopping the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from deepseek_r1.catalogue.installed import InstalledModel, installed_models


class ModelSearch(QObject):
    """Reads the headers of all models on this machine in a pool thread."""

    found = Signal(tuple)  # of InstalledModel; emitted in the pool's thread

    def start(self, opened: Sequence[Path]) -> None:
        """Look, then emit `found` once."""
        QThreadPool.globalInstance().start(_Look(self, tuple(opened)))


class _Look(QRunnable):
    def __init__(self, search: ModelSearch, opened: tuple[Path, ...]) -> None:
        super().__init__()
        self._search = search
        self._opened = opened

    def run(self) -> None:
        models: tuple[InstalledModel, ...] = installed_models(self._opened)
        self._search.found.emit(models)

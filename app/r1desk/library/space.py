"""How much is free on the drive of the models, asked without stopping the window."""

from __future__ import annotations

import shutil
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.paths import user_models_dir
from r1desk.background import in_background


class FreeSpace(QObject):
    """Asks in a thread of its own: a drive of the network may take its time."""

    found = Signal(object)  # int bytes, or None where the system does not say

    def start(self) -> None:
        """Ask, then emit `found` once."""
        in_background(self, self._ask)

    def _ask(self) -> None:
        self.found.emit(free_bytes(user_models_dir()))


def free_bytes(folder: Path) -> int | None:
    """Bytes free where `folder` is or will be."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None

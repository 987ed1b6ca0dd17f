"""Finds the free space on the drive of the models, without blocking the window."""

from __future__ import annotations

import shutil
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.models_folders import user_models_dir
from r1desk.platform.background_thread import in_background


class FreeSpaceQuery(QObject):
    """Works in its own thread: a network drive may take its time."""

    found = Signal(object)  # int bytes, or None where it is unknown

    def start(self) -> None:
        """Query, then emit `found` once."""
        in_background(self, self._query)

    def _query(self) -> None:
        self.found.emit(free_bytes(user_models_dir()))


def free_bytes(folder: Path) -> int | None:
    """The bytes free where `folder` is or will be; None where it is unknown."""
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None

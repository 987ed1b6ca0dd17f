"""Disk space of the application's folders, measured away from the main thread."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from r1desk.platform.background_thread import in_background


class DiskUse(QObject):
    """Measures folders; has no parent, because the dialog that asked may close before the end.

    Signals:
        measured: bytes by the names that were given, once, from a thread of its own.
    """

    measured = Signal(object)

    def start(self, folders: Mapping[str, Path]) -> None:
        """Measure `folders`, then emit `measured`."""
        in_background(self, lambda: self.measured.emit(measure(folders)))


def measure(folders: Mapping[str, Path]) -> dict[str, int]:
    """Bytes of all files below each folder. A folder inside another one counts for itself alone."""
    places = set(folders.values())
    return {name: _bytes_below(folder, places - {folder}) for name, folder in folders.items()}


def _bytes_below(folder: Path, apart: set[Path]) -> int:
    total = 0
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if Path(place, name) not in apart]
        for name in files:
            try:
                total += Path(place, name).lstat().st_size
            except OSError:  # it went away meanwhile: it takes nothing any more
                continue
    return total

"""Chooses the folder of downloaded models, after a check that may wait for a slow drive."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.catalogue.disk_errors import require_usable
from deepseek_r1.catalogue.errors import FolderUnusable
from deepseek_r1.core.models_folders import choose_models_dir, default_models_dir
from r1desk.platform.background_thread import in_background


class ModelsFolder(QObject):
    """Works in threads of its own and needs no parent. Nothing is moved.

    Signals:
        changed: the Path of the folder now in use. Emitted in that thread.
        refused: the ErrorReport; the folder before stays in use. Emitted in that thread.
    """

    changed = Signal(object)
    refused = Signal(object)

    def choose(self, folder: Path | None) -> None:
        """Check the folder and use it from now on; None is the profile's."""
        in_background(self, partial(self._choose, folder))

    def _choose(self, folder: Path | None) -> None:
        try:
            if folder == default_models_dir():
                folder = None
            if folder is not None:
                require_usable(folder)
            choose_models_dir(folder)
        except FolderUnusable as error:
            self.refused.emit(error.report())
        except OSError as error:  # the profile cannot be written
            detail = error.strerror or str(error)
            report = FolderUnusable(folder=str(default_models_dir().parent), detail=detail).report()
            self.refused.emit(report)
        else:
            self.changed.emit(folder if folder is not None else default_models_dir())

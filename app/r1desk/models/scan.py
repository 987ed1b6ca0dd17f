"""Finds the models on this computer and how they would run, without blocking the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from deepseek_r1.catalogue.app_folders import AppFile, app_files
from deepseek_r1.catalogue.file_names import files_of
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.installed import InstalledModel, installed_models, resolved
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.plan import ProcessOverhead
from r1desk.models.fit import FitEstimate, estimate_fit
from r1desk.models.machine_speed import known_speed
from r1desk.models.recommendation import WINDOW_MAX_MIB
from r1desk.platform.background_thread import in_background

_BLOCK_BYTES = 512  # the unit of st_blocks on every system that has it


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on this computer; without an estimate where it cannot be used.

    `files` are all its files, `disk_bytes` what they take on the drive, and `place` is the path of
    the first without links.
    """

    installed: InstalledModel
    estimate: FitEstimate | None
    files: tuple[Path, ...] = ()
    disk_bytes: int = 0
    place: Path = Path()


class ModelScan(QObject):
    """Has the headers of all models read, by a child process. Needs no parent.

    Signals:
        found: a tuple of FoundModel; first our own and the opened ones, then again with those of
            other applications, whose folders take longer to search. Emitted in that thread.
    """

    found = Signal(tuple)

    def start(self, opened: Sequence[Path], settings: LoadSettings) -> None:
        """Look for models, `opened` among them, then emit `found`."""
        in_background(self, partial(self._look, tuple(opened), settings))

    def _look(self, opened: tuple[Path, ...], settings: LoadSettings) -> None:
        with HeaderProcess() as process:
            own = installed_models(opened, read=process.read_header)
            self.found.emit(tuple(_describe(each, settings) for each in own))
            others: tuple[AppFile, ...] = app_files()
            if not others:
                return
            models = installed_models(opened, others, process.read_header)
            self.found.emit(tuple(_describe(each, settings) for each in models))


def _describe(model: InstalledModel, settings: LoadSettings) -> FoundModel:
    files = files_of(model.path)
    disk_bytes = sum(disk_use(file) for file in files)
    place = resolved(model.path)
    return FoundModel(model, _estimate(model, settings), files, disk_bytes, place)


def disk_use(path: Path) -> int:
    """The bytes that a file takes on its drive, 0 where it is missing; links are followed."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: no system has such a name
        return 0
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else blocks * _BLOCK_BYTES


def _estimate(model: InstalledModel, settings: LoadSettings) -> FitEstimate | None:
    if model.header is None:
        return None
    overhead = ProcessOverhead(window_mib=WINDOW_MAX_MIB)
    available_mib = memory_reading().available_mib
    return estimate_fit(model.header, settings, overhead, known_speed(), available_mib)

"""Finds the model of the catalogue to recommend, and its speed, without blocking the window."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal

from deepseek_r1 import hardware
from deepseek_r1.catalogue.app_folders import AppFile, app_files
from deepseek_r1.catalogue.download_spec import DownloadSpec, default_source, spec_for_known
from deepseek_r1.catalogue.known_models import KnownFile, KnownModel
from deepseek_r1.catalogue.recommend import recommend
from deepseek_r1.catalogue.speed import SpeedRange, expected_speed
from deepseek_r1.core.events import Bill
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.plan import ProcessOverhead
from r1desk.models.disk_space import free_bytes
from r1desk.models.machine_speed import machine_speed
from r1desk.platform.background_thread import in_background

# The memory that the window may grow to. A model that fits only beside a fresh window would be
# refused after its download.
WINDOW_MAX_MIB = 200.0
_MIB = 1 << 20
_R1_NAME = re.compile("deepseek[-_ ]?r1", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RecommendedDownload:
    """The recommended model for this machine and budget, and where it comes from."""

    model: KnownModel
    file: KnownFile
    bill: Bill
    order: DownloadSpec
    host: str
    free_bytes: int | None


class ModelRecommender(QObject):
    """Works in its own threads and emits there.

    Signals:
        file_found: the AppFile of a DeepSeek-R1 model that is already on this computer, the largest
            that the budget holds, else the smallest. Not emitted without one.
        found: the RecommendedDownload, or None where no known model fits.
        measured: the SpeedRange.
    """

    file_found = Signal(object)
    found = Signal(object)
    measured = Signal(object)

    def look(self, settings: LoadSettings) -> None:
        """Find the model to recommend; emit `found` once, then perhaps `file_found`."""
        in_background(self, partial(self._look, settings))

    def measure(self, offer: RecommendedDownload) -> None:
        """Estimate the speed from the computer's; emit `measured` once, where that is known."""
        in_background(self, partial(self._measure, offer))

    def _look(self, settings: LoadSettings) -> None:
        self._recommend(settings)
        if (file := _best_file(app_files(), settings.memory_budget * _MIB)) is not None:
            self.file_found.emit(file)

    def _recommend(self, settings: LoadSettings) -> None:
        best = recommend(
            hardware.machine_memory_mib(),
            settings.memory_budget,
            settings=settings,
            share=ProcessOverhead(window_mib=WINDOW_MAX_MIB),
        )
        if best is None:
            self.found.emit(None)
            return
        offer = RecommendedDownload(
            model=best.model,
            file=best.file,
            bill=best.bill,
            order=spec_for_known(best.model, best.file),
            host=default_source(best.model, best.file),
            free_bytes=free_bytes(user_models_dir()),
        )
        self.found.emit(offer)

    def _measure(self, offer: RecommendedDownload) -> None:
        computer = machine_speed()
        if computer.memory_mib_s:
            speed: SpeedRange = expected_speed(
                offer.model, offer.file, computer.memory_mib_s, computer.threads
            )
            self.measured.emit(speed)


def _best_file(files: Iterable[AppFile], budget_bytes: int) -> AppFile | None:
    sizes: dict[AppFile, int] = {}
    for file in files:
        if _R1_NAME.search(file.name or file.path.name):
            with suppress(OSError):  # it has gone since it was found
                sizes[file] = file.path.stat().st_size
    fitting = [file for file, size in sizes.items() if size < budget_bytes]
    if fitting:
        return max(fitting, key=lambda file: sizes[file])
    return min(sizes, key=lambda file: sizes[file], default=None)

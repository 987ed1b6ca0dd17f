"""Estimates how every model of the catalogue would run here, without stopping the window."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal

from deepseek_r1.catalogue.known_models import catalogue
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.plan import ProcessOverhead
from r1desk.models.catalogue_picks import CatalogueFile
from r1desk.models.fit import MachineSpeed, estimate_fit
from r1desk.models.machine_speed import machine_speed
from r1desk.models.recommendation import WINDOW_MAX_MIB
from r1desk.platform.background_thread import in_background


class CatalogueSurvey(QObject):
    """Works in its own thread and needs no parent.

    Signals:
        found: a tuple of CatalogueFile; at once without speeds, then with them. Emitted there.
    """

    found = Signal(tuple)

    def start(self, settings: LoadSettings) -> None:
        """Estimate for these settings."""
        in_background(self, partial(self._estimate, settings))

    def _estimate(self, settings: LoadSettings) -> None:
        self.found.emit(estimate_catalogue(settings, MachineSpeed()))
        self.found.emit(estimate_catalogue(settings, machine_speed()))


def estimate_catalogue(settings: LoadSettings, speed: MachineSpeed) -> tuple[CatalogueFile, ...]:
    """Each file of the catalogue with its estimate; a tenth of a second."""
    available_mib = memory_reading().available_mib
    overhead = ProcessOverhead(window_mib=WINDOW_MAX_MIB)
    return tuple(
        CatalogueFile(
            model, file, estimate_fit(model.header(file), settings, overhead, speed, available_mib)
        )
        for model in catalogue().models
        for file in model.files
    )

"""What suits this computer: looked up and measured behind the window that is already there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal

from deepseek_r1 import hardware
from deepseek_r1.catalogue.models import KnownFile, KnownModel
from deepseek_r1.catalogue.orders import Order, order_known, usual_source
from deepseek_r1.catalogue.recommend import recommend
from deepseek_r1.catalogue.speed import SpeedRange, expected_speed
from deepseek_r1.core.events import Bill
from deepseek_r1.core.paths import user_models_dir
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.memory_speed import memory_read_mib_s
from deepseek_r1.memory.plan import ProcessShare
from r1desk.background import in_background
from r1desk.library.space import free_bytes

# What the window may come to hold. A model that fits only beside a fresh window would be
# refused after it was downloaded.
WINDOW_AT_MOST_MIB = 200.0


@dataclass(frozen=True, slots=True)
class Offer:
    """The recommended model for this machine and budget, and where it comes from."""

    model: KnownModel
    file: KnownFile
    bill: Bill
    order: Order
    host: str
    free_bytes: int | None


class Survey(QObject):
    """Works in threads of its own; emits from there."""

    found = Signal(object)  # Offer, or None where no known model fits
    measured = Signal(object)  # SpeedRange

    def look(self, settings: LoadSettings) -> None:
        """Find the model to recommend; `found` once."""
        in_background(self, partial(self._look, settings))

    def measure(self, offer: Offer) -> None:
        """Read memory for half a second and tell how fast the offer would be; `measured` once."""
        in_background(self, partial(self._measure, offer))

    def _look(self, settings: LoadSettings) -> None:
        best = recommend(
            hardware.machine_memory_mib(),
            settings.memory_budget,
            settings=settings,
            share=ProcessShare(window_mib=WINDOW_AT_MOST_MIB),
        )
        if best is None:
            self.found.emit(None)
            return
        offer = Offer(
            model=best.model,
            file=best.file,
            bill=best.bill,
            order=order_known(best.model, best.file),
            host=usual_source(best.model, best.file),
            free_bytes=free_bytes(user_models_dir()),
        )
        self.found.emit(offer)

    def _measure(self, offer: Offer) -> None:
        threads = hardware.cpu().threads
        speed: SpeedRange = expected_speed(
            offer.model, offer.file, memory_read_mib_s(threads), threads
        )
        self.measured.emit(speed)

"""Lists the files of a repository and how each would run, without blocking the window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal, SignalInstance

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.errors import DownloadStopped, RepositoryWithoutModel
from deepseek_r1.catalogue.hub_models import HubListing, HubModel
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.catalogue.retry_policy import RetryPolicy
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.settings import LoadSettings
from r1desk.models.forecast.forecast import Forecast
from r1desk.models.forecast.service import Forecaster
from r1desk.platform.background_thread import in_background
from r1desk.platform.helper_processes import add_helper, remove_helper


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that can be downloaded: one file, or several parts.

    `forecast` is None where the sizes of the model are unknown, `size_bytes` where only the server
    knows it.
    """

    name: str
    quantisation: str
    size_bytes: int | None
    specs: tuple[DownloadSpec, ...]
    forecast: Forecast | None

    @property
    def verifiable(self) -> bool:
        """True if a checksum of every file is published."""
        return all(spec.verifiable for spec in self.specs)


@dataclass(frozen=True, slots=True)
class Offer:
    """The models of a repository; `wanted` is the name of the one that was asked for, or empty."""

    repository: str
    models: tuple[OfferedModel, ...]
    wanted: str = ""


class HubQuery(QObject):
    """Works in its own thread and needs no parent.

    Signals:
        found: an Offer; first with the speeds known before, then with measured ones.
        failed: the ErrorReport. All are emitted in that thread.
    """

    found = Signal(object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._stop = Stop()

    def start(self, reference: HubReference, settings: LoadSettings, policy: RetryPolicy) -> None:
        """Connect to the host of `reference`, which the user has requested."""
        in_background(self, partial(self._look, reference, settings, policy))

    def stop(self) -> None:
        """End the query; nothing is emitted any more."""
        self._stop.request()

    def _look(self, reference: HubReference, settings: LoadSettings, policy: RetryPolicy) -> None:
        process = NetworkProcess(add_helper, remove_helper)
        try:
            listing = process.list_repository(reference, policy, self._stop)
        except DownloadStopped:
            return
        except R1Error as error:
            self._emit(self.failed, error.report())
            return
        with Forecaster(settings) as forecaster:
            self._emit(self.found, _offer(listing, forecaster))
            forecaster.measure()
            self._emit(self.found, _offer(listing, forecaster))

    def _emit(self, signal: SignalInstance, value: object) -> None:
        if not self._stop.asked:
            signal.emit(value)


def _offer(listing: HubListing, forecaster: Forecaster) -> Offer:
    try:
        wanted = listing.choose().name
    except RepositoryWithoutModel:
        wanted = ""
    models = tuple(
        OfferedModel(
            model.name,
            model.quantisation,
            model.size_bytes,
            tuple(listing.specs(model)),
            _forecast(listing.outline, model, forecaster),
        )
        for model in listing.models
    )
    return Offer(listing.reference.repository, models, wanted)


def _forecast(
    outline: ModelOutline | None, model: HubModel, forecaster: Forecaster
) -> Forecast | None:
    """Without a speed for a mixture of experts, which reads only a part for a token."""
    if outline is None:
        return None
    header = outline.header(model.name, model.size_bytes, model.quantisation)
    return forecaster.forecast(header, reads_all=not outline.shape.experts)

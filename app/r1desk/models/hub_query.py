"""Lists the files of a repository and how each would run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import DownloadSpec, RetryPolicy
from deepseek_r1.catalogue.errors import DownloadStopped, RepositoryWithoutModel
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.hub_models import HubListing, HubModel
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.network_process import NetworkProcess
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.settings import LoadSettings
from r1desk.models.forecast.forecast import Forecast
from r1desk.models.forecast.service import Forecaster
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


def find_offers(
    reference: HubReference, settings: LoadSettings, policy: RetryPolicy, stop: Stop
) -> Iterator[Offer]:
    """The models of `reference`, which the user has requested; again with measured speeds.

    Connects to the host: not for the main thread. `stop` ends it. Raises R1Errors.
    """
    process = NetworkProcess(add_helper, remove_helper)
    try:
        listing = process.list_repository(reference, policy, stop)
    except DownloadStopped:
        return
    forecaster = Forecaster(settings, HeaderProcess())
    yield _offer(listing, forecaster)
    forecaster.measure()
    yield _offer(listing, forecaster)


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

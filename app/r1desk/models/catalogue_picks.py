"""The models that can be downloaded, with their forecasts: the catalogue's and a repository's.

Of the catalogue's also the few to choose from with a budget, and those for the first start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadSpec,
    RetryPolicy,
    default_source,
    spec_for_known,
)
from deepseek_r1.catalogue.errors import DownloadStopped, RepositoryWithoutModel
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.hub_models import HubListing, HubModel
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.known_models import (
    KnownFile,
    KnownModel,
    catalogue,
    draft_for_file,
    draft_of,
    known_models,
)
from deepseek_r1.catalogue.ladder import MIN_TOK_S, Rung, ladder_text
from deepseek_r1.catalogue.outline import ModelOutline
from deepseek_r1.core.i18n import N_
from deepseek_r1.core.settings import LoadSettings, default_budget
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.forecast import Fit, Forecast
from deepseek_r1.memory.plan import preferred_context
from r1desk.models.scan import free_models_bytes
from r1desk.platform.helper_processes import add_helper, remove_helper
from r1desk.preferences import FREE_SHARE

MIN_BITS = 4.5  # a weight; below it a model loses more than the next smaller one has
LEAST_TOK_S = 3.0  # by this computer's cores, of the better model of the first start
_BUDGET_STEP_MIB = 128
_MACHINE_SHARE = 0.75  # of the machine's memory; the rest is the system's and other programs'


class Standing(StrEnum):
    """The catalogue's opinion of a model for a budget, with its heading."""

    FIRST = N_("Recommended for the memory budget")
    ALSO = N_("Good for some purposes, or slower")
    EXPERIMENTAL = N_("Experimental")


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """A file of the catalogue and how it would run here."""

    model: KnownModel
    file: KnownFile
    forecast: Forecast

    @property
    def quality(self) -> tuple[bool, int, int]:
        """Orders files: enough bits first, then parameters, then size."""
        return (self.bits >= MIN_BITS, self.model.parameters, self.file.size_bytes)

    @property
    def name(self) -> str:
        """The names of model and file."""
        return f"{self.model.name} {self.file.quantisation}"

    @property
    def context_suffices(self) -> bool:
        """True where the context is as long as it should be: thinking takes thousands of tokens."""
        forecast = self.forecast
        least = forecast.settings.context_length or preferred_context(self.model.header(self.file))
        return forecast.bill.context_length >= least

    @property
    def budget_mib(self) -> int:
        """The memory budget of its forecast."""
        return self.forecast.settings.memory_budget

    @property
    def host(self) -> str:
        """Where it is downloaded from first."""
        return default_source(self.model, self.file)

    @property
    def spec(self) -> DownloadSpec:
        """Its download from there."""
        return spec_for_known(self.model, self.file)

    @property
    def rung(self) -> Rung:
        """Its place among the files of its model."""
        return Rung(self.file.quantisation, self.forecast)

    @property
    def bits(self) -> float:
        """Bits for each weight."""
        return self.file.size_bytes * 8 / self.model.parameters


@dataclass(frozen=True, slots=True)
class Pick:
    """A file and why it is picked; `ladder` is said of all files of its model."""

    standing: Standing
    file: CatalogueFile
    ladder: str

    @property
    def key(self) -> tuple[Standing, str]:
        """Tells picks apart, whatever their estimates."""
        return (self.standing, self.file.file.file)


def survey_catalogue(forecaster: Forecaster) -> Iterator[tuple[CatalogueFile, ...]]:
    """All files of the catalogue, at once and again with measured speeds: 0.1 s each."""
    yield _files(forecaster)
    forecaster.measure()
    yield _files(forecaster)


def _files(forecaster: Forecaster) -> tuple[CatalogueFile, ...]:
    return tuple(
        CatalogueFile(model, file, forecaster.forecast(model.header(file), draft_of(model)))
        for model in known_models()
        for file in model.files
    )


def pick(files: Sequence[CatalogueFile], budget_mib: int) -> tuple[Pick, ...]:
    """The catalogue's choice for the budget, each model with its best file that runs here."""
    choices = catalogue().choices
    fitting = [each for each in choices if each.memory_gb * 1024 <= budget_mib]
    choice = (fitting or choices)[-1 if fitting else 0]
    return tuple(
        Pick(standing, best, ladder_text([each.rung for each in own]))
        for standing in Standing
        for model in getattr(choice, standing.name.lower())
        if (own := [each for each in files if each.model.id == model])
        and (best := _best(own)) is not None
    )


def _best(files: Sequence[CatalogueFile]) -> CatalogueFile | None:
    """Of a model's files the best in memory, else the smallest that runs from the disk."""
    enough = [each for each in files if each.bits >= MIN_BITS] or files  # or trained with so few
    from_disk = (
        each
        for each in enough
        if each.forecast.fit is Fit.FROM_DISK and not 0 < each.forecast.best_tok_s < MIN_TOK_S
    )
    smallest = min(from_disk, key=lambda each: each.file.size_bytes, default=None)
    return best_in_memory(enough) or smallest or best_in_memory(files)


def best_in_memory(files: Sequence[CatalogueFile]) -> CatalogueFile | None:
    """The best of those that fit the budget in memory, with a context that suffices if any has."""
    fitting = [each for each in files if each.forecast.fit is Fit.IN_MEMORY]
    enough = [each for each in fitting if each.context_suffices] or fitting
    return max(enough, key=lambda each: each.quality, default=None)


@dataclass(frozen=True, slots=True)
class FirstOffers:
    """The models of the first start: a small one, and a better one in a share of what is free.

    Each is given the budget of its forecast.
    """

    small: CatalogueFile | None
    better: CatalogueFile | None
    free_mib: float  # memory
    free_bytes: int | None  # on the drive


def first_offers(forecaster: Forecaster) -> Iterator[FirstOffers]:
    """The models to offer at the first start, with the speeds that are known.

    They have a checksum in the catalogue: nothing is asked of a hub before the first download.
    """
    reading, settings = memory_reading(), forecaster.settings
    budget = min(default_budget(reading.total_mib), int(reading.total_mib * _MACHINE_SHARE))
    forecaster.settings = settings.model_copy(update={"memory_budget": budget})
    small = best_in_memory([each for each in _files(forecaster) if each.file.sha256])
    better = _better(forecaster, small, int(reading.available_mib * FREE_SHARE))
    yield FirstOffers(small, better, reading.available_mib, free_models_bytes())


def measured_offers(forecaster: Forecaster) -> Iterator[FirstOffers]:
    """The same once the computer is measured."""
    forecaster.measure()
    yield from first_offers(forecaster)


def _better(
    forecaster: Forecaster, small: CatalogueFile | None, most_mib: int
) -> CatalogueFile | None:
    """The largest model that `most_mib` hold and that is quick enough, with its least budget."""
    if small is None:
        return None
    settings = forecaster.settings
    larger = [(model, file) for model in known_models() for file in model.files if file.sha256]
    larger.sort(key=lambda each: (-each[0].parameters, each[1].size_bytes))
    for model, file in larger:
        header, least_mib = model.header(file), file.size_bytes >> 20
        if (
            model.parameters <= small.model.parameters
            or forecaster.most_tok_s(header) < LEAST_TOK_S
        ):
            continue
        for budget in range(settings.memory_budget, most_mib + 1, _BUDGET_STEP_MIB):
            if budget < least_mib:
                continue
            forecaster.settings = settings.model_copy(update={"memory_budget": budget})
            found = CatalogueFile(model, file, forecaster.forecast(header))
            in_memory = found.forecast.fit is Fit.IN_MEMORY
            if in_memory and found.context_suffices and found.bits >= MIN_BITS:
                return found
    return None


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that can be downloaded: one file, or several parts."""

    name: str
    quantisation: str
    size_bytes: int | None  # None where only the server knows it
    specs: tuple[DownloadSpec, ...]
    forecast: Forecast | None  # None where the sizes of the model are unknown

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

    @property
    def ladder(self) -> str:
        """The text of its ladder; empty before the speeds are known."""
        known = ((each.quantisation, each.forecast) for each in self.models)
        return ladder_text([Rung(name, found) for name, found in known if found is not None])


def find_offers(
    reference: HubReference, settings: LoadSettings, policy: RetryPolicy, stop: Stop
) -> Iterator[Offer]:
    """The models of `reference`, which the user has requested; again with measured speeds.

    Connects to the host: not for the main thread. `stop` ends it. Raises R1Errors.
    """
    from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

    process = network_process.NetworkProcess(add_helper, remove_helper)
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
    """None where the sizes of the model are unknown."""
    if outline is None:
        return None
    header = outline.header(model.name, model.size_bytes, model.quantisation)
    reads_all = header.experts == outline.shape.experts
    return forecaster.forecast(header, draft_for_file(model.name), reads_all=reads_all)

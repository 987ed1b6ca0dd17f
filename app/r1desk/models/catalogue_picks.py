"""The models of the catalogue with their forecasts, and the few that most people choose between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.catalogue.known_models import KnownFile, KnownModel, known_models
from deepseek_r1.core.i18n import tr
from r1desk.models.forecast.forecast import Fit, Forecast
from r1desk.models.forecast.service import Forecaster

MIN_BITS = 4.5  # a weight; below it a model loses more than the next smaller one has
MIN_DISK_TOK_S = 0.25  # slower than this nobody waits for an answer


class Purpose(StrEnum):
    """The reason for a pick."""

    FASTEST = "fastest"
    RECOMMENDED = "recommended"
    SMARTEST = "smartest"


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
    def bits(self) -> float:
        """Bits for each weight."""
        return self.file.size_bytes * 8 / self.model.parameters


@dataclass(frozen=True, slots=True)
class Pick:
    """A file and why it is picked."""

    purpose: Purpose
    file: CatalogueFile

    @property
    def key(self) -> tuple[Purpose, str]:
        """Tells picks apart, whatever their estimates."""
        return (self.purpose, self.file.file.file)


def survey_catalogue(forecaster: Forecaster) -> Iterator[tuple[CatalogueFile, ...]]:
    """All files of the catalogue, at once and again with measured speeds; a tenth of a second each.

    A question for the `ForecastService`.
    """
    yield _files(forecaster)
    forecaster.measure()
    yield _files(forecaster)


def _files(forecaster: Forecaster) -> tuple[CatalogueFile, ...]:
    return tuple(
        CatalogueFile(model, file, forecaster.forecast(model.header(file)))
        for model in known_models()
        for file in model.files
    )


def pick(files: Sequence[CatalogueFile]) -> tuple[Pick, ...]:
    """At most one for each purpose, each file once: fastest, recommended, smartest.

    The recommended one is the best that fits the budget in memory, the fastest the smallest of
    those with enough bits, and the smartest one has the most parameters of those that run from
    the disk.
    """
    in_memory = [each for each in files if each.forecast.fit is Fit.IN_MEMORY]
    enough = [each for each in in_memory if each.bits >= MIN_BITS] or in_memory
    from_disk = [
        each
        for each in files
        if each.forecast.fit is Fit.FROM_DISK
        and each.bits >= MIN_BITS
        and not 0 < each.forecast.tok_s < MIN_DISK_TOK_S
    ]
    picks: list[Pick] = []
    if in_memory:
        best = max(in_memory, key=lambda each: each.quality)
        fastest = min(enough, key=lambda each: each.file.size_bytes)
        if fastest is not best:
            picks.append(Pick(Purpose.FASTEST, fastest))
        picks.append(Pick(Purpose.RECOMMENDED, best))
    if from_disk:
        # Of one size the fewest bits that are enough: it is the fastest.
        smartest = max(from_disk, key=lambda each: (each.model.parameters, -each.file.size_bytes))
        picks.append(Pick(Purpose.SMARTEST, smartest))
    return tuple(picks)


def purpose_title(purpose: Purpose) -> str:
    """The heading of a pick."""
    return {
        Purpose.FASTEST: tr("Fastest"),
        Purpose.RECOMMENDED: tr("Recommended"),
        Purpose.SMARTEST: tr("Smartest from the disk"),
    }[purpose]


def purpose_text(purpose: Purpose) -> str:
    """A sentence on what the pick is good for."""
    return {
        Purpose.FASTEST: tr("Answers soonest. Good for short questions."),
        Purpose.RECOMMENDED: tr("The best model that fits the memory budget."),
        Purpose.SMARTEST: tr("Thinks best. It runs from the disk, so answers take their time."),
    }[purpose]

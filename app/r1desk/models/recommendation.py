"""Questions for the `ForecastService` about the first model: what to download, what is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from deepseek_r1 import hardware
from deepseek_r1.catalogue.download_spec import DownloadSpec, default_source, spec_for_known
from deepseek_r1.catalogue.installed import AppFile, app_files
from deepseek_r1.catalogue.known_models import KnownFile, KnownModel
from deepseek_r1.catalogue.recommend import recommend
from deepseek_r1.memory.estimate import planned_share
from r1desk.models.forecast.forecast import WINDOW_MAX_MIB, Forecast
from r1desk.models.forecast.service import Forecaster
from r1desk.models.scan import free_models_bytes

_MIB = 1 << 20
_R1_NAME = re.compile("deepseek[-_ ]?r1", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RecommendedDownload:
    """The recommended model for this machine and budget, and where it comes from."""

    model: KnownModel
    file: KnownFile
    forecast: Forecast
    order: DownloadSpec
    host: str
    free_bytes: int | None


def recommend_download(forecaster: Forecaster) -> Iterator[RecommendedDownload | None]:
    """The model to recommend, None where no known one fits."""
    best = recommend(
        hardware.machine_memory_mib(),
        forecaster.settings.memory_budget,
        settings=forecaster.settings,
        share=planned_share(WINDOW_MAX_MIB),
    )
    if best is None:
        yield None
        return
    yield RecommendedDownload(
        model=best.model,
        file=best.file,
        forecast=forecaster.forecast(best.model.header(best.file)),
        order=spec_for_known(best.model, best.file),
        host=default_source(best.model, best.file),
        free_bytes=free_models_bytes(),
    )


def measure_download(
    offer: RecommendedDownload, forecaster: Forecaster
) -> Iterator[RecommendedDownload]:
    """The same offer with its speed, once the computer is measured; none where that fails."""
    forecaster.measure()
    forecast = forecaster.forecast(offer.model.header(offer.file))
    if forecast.tok_s:
        yield replace(offer, forecast=forecast)


def find_r1_file(forecaster: Forecaster) -> Iterator[AppFile]:
    """A DeepSeek-R1 model on this computer: the largest that the budget holds, else the smallest.

    There is no answer without one.
    """
    sizes: dict[AppFile, int] = {}
    for file in app_files():
        if _R1_NAME.search(file.name or file.path.name):
            with suppress(OSError):  # it has gone since it was found
                sizes[file] = file.path.stat().st_size
    budget_bytes = forecaster.settings.memory_budget * _MIB
    fitting = [file for file, size in sizes.items() if size < budget_bytes]
    if fitting:
        yield max(fitting, key=lambda file: sizes[file])
    elif sizes:
        yield min(sizes, key=lambda file: sizes[file])

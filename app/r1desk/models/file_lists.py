"""Questions for the `ForecastService`: which models there are, and which suit the first start."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import RetryPolicy, spec_for_url
from deepseek_r1.catalogue.errors import DownloadStopped, RepositoryWithoutModel
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import drive_answers
from deepseek_r1.catalogue.hub_reference import HubReference
from deepseek_r1.catalogue.installed import app_files, installed_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files, listed_files
from deepseek_r1.catalogue.recommendation import best_for_you
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.settings import default_budget
from deepseek_r1.hardware.pressure import memory_reading
from r1desk.platform.helper_processes import add_helper, remove_helper

Files = tuple[ModelFile, ...]
_R1_NAME = re.compile("deepseek[-_ ]?r1", re.IGNORECASE)


def find_files(forecaster: Forecaster, opened: Sequence[Path]) -> Iterator[Files]:
    """The models on this computer, `opened` among them, then what the catalogue has beside them.

    Again with those of other applications, whose folders take longer to search, and with measured
    speeds. A file on a network share that does not answer is left out.
    """
    opened = [path for path in opened if drive_answers(path)]
    read = forecaster.headers.read_header
    here, known = installed_models(opened, read=read), known_files()
    yield _joined(here, known, forecaster)
    if others := app_files():
        here = installed_models(opened, others, read)
        yield _joined(here, known, forecaster)
    if not forecaster.speed.memory_mib_s:
        forecaster.measure()
        yield _joined(here, known, forecaster)


def _joined(here: Files, known: Files, forecaster: Forecaster) -> Files:
    names = {each.file.casefold() for each in here if each.known is not None}
    others = (each for each in known if each.file.casefold() not in names)
    return forecaster.add_to((*here, *others))


def first_offers(forecaster: Forecaster) -> Iterator[Files]:
    """The best model for the budget, and before it a small one where that is another."""
    forecaster.measure()
    known, settings = known_files(), forecaster.settings
    best = best_for_you(forecaster.add_to(known))
    least = min(settings.memory_budget, default_budget(memory_reading().total_mib))
    forecaster.settings = settings.model_copy(update={"memory_budget": least})
    small = best_for_you(forecaster.add_to(known))
    if small is not None and best is not None and small.known is best.known:
        small = None
    yield tuple(each for each in (small, best) if each is not None)


def find_r1_file(forecaster: Forecaster) -> Iterator[ModelFile]:
    """A DeepSeek-R1 model on this computer: the largest that the budget holds, else the smallest.

    There is no answer without one.
    """
    sizes: dict[ModelFile, int] = {}
    for file in app_files():
        if file.path is not None and _R1_NAME.search(file.name or file.file):
            with suppress(OSError):  # it has gone since it was found
                sizes[replace(file, name=file.name or file.path.stem)] = file.path.stat().st_size
    budget_bytes = forecaster.settings.memory_budget << 20
    fitting = [file for file, size in sizes.items() if size < budget_bytes]
    if fitting:
        yield max(fitting, key=lambda file: sizes[file])
    elif sizes:
        yield min(sizes, key=lambda file: sizes[file])


def list_repository(
    forecaster: Forecaster, reference: HubReference, policy: RetryPolicy, stop: Stop
) -> Iterator[tuple[Files, str]]:
    """The models of a repository and the name of the wanted one; again with measured speeds.

    Connects to the host, which the user has requested. `stop` ends it. Raises R1Errors.
    """
    from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

    process = network_process.NetworkProcess(add_helper, remove_helper)
    try:
        listing = process.list_repository(reference, policy, stop)
    except DownloadStopped:
        return
    try:
        wanted = listing.choose().name
    except RepositoryWithoutModel:
        wanted = ""
    files = listed_files(listing)
    yield forecaster.add_to(files), wanted
    forecaster.measure()
    yield forecaster.add_to(files), wanted


def file_at(url: str) -> ModelFile:
    """The file at an address. Raises FileNameUnusable."""
    spec = spec_for_url(url, None)
    host = urlsplit(url).hostname or ""
    return ModelFile(spec.file.removesuffix(".gguf"), spec.file, sources={host: (spec,)})


def free_models_bytes() -> int | None:
    """The bytes free where the models folder is or will be; None where it is unknown.

    Not for the main thread: a network drive may take its time.
    """
    folder = user_models_dir()
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None

"""Questions for the `ForecastService`: which models there are, here and on a hub."""

import shutil
from collections.abc import Iterator, Sequence
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
from deepseek_r1.core.models_folders import user_models_dir
from r1desk.platform.helper_processes import add_helper, remove_helper

Files = tuple[ModelFile, ...]


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

"""Finds the models on this computer and how they would run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.catalogue.app_folders import app_files
from deepseek_r1.catalogue.file_names import files_of
from deepseek_r1.catalogue.header_process import drive_answers
from deepseek_r1.catalogue.installed import InstalledModel, installed_models, resolved
from r1desk.models.forecast.forecast import Forecast
from r1desk.models.forecast.service import Forecaster

_BLOCK_BYTES = 512  # the unit of st_blocks on every system that has it


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on this computer; without a forecast where it cannot be used.

    `files` are all its files, `disk_bytes` what they take on the drive, and `place` is the path of
    the first without links.
    """

    installed: InstalledModel
    forecast: Forecast | None
    files: tuple[Path, ...] = ()
    disk_bytes: int = 0
    place: Path = Path()


def find_models(opened: Sequence[Path], forecaster: Forecaster) -> Iterator[tuple[FoundModel, ...]]:
    """The models on this computer, `opened` among them; a question for the `ForecastService`.

    First our own and the opened ones, then again with those of other applications, whose folders
    take longer to search. A file on a network share that does not answer is left out.
    """
    opened = [path for path in opened if drive_answers(path)]
    yield _describe_all(installed_models(opened, read=forecaster.read_header), forecaster)
    if others := app_files():
        models = installed_models(opened, others, forecaster.read_header)
        yield _describe_all(models, forecaster)


def _describe_all(
    models: Iterable[InstalledModel], forecaster: Forecaster
) -> tuple[FoundModel, ...]:
    return tuple(_describe(each, forecaster) for each in models)


def _describe(model: InstalledModel, forecaster: Forecaster) -> FoundModel:
    files = files_of(model.path)
    return FoundModel(
        model,
        forecaster.forecast(model.header) if model.header is not None else None,
        files,
        sum(disk_use(file) for file in files),
        resolved(model.path),
    )


def disk_use(path: Path) -> int:
    """The bytes that a file takes on its drive, 0 where it is missing; links are followed."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: no system has such a name
        return 0
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else blocks * _BLOCK_BYTES

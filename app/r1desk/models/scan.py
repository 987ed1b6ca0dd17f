"""Finds the models on this computer: how they would run, whose they are, what they take."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.catalogue.file_rules import files_of
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import drive_answers
from deepseek_r1.catalogue.installed import (
    AppFile,
    InstalledModel,
    Origin,
    Owner,
    app_files,
    installed_models,
    resolved,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.memory.forecast import Forecast

_R1_NAME = re.compile("deepseek[-_ ]?r1", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on this computer; without a forecast where it cannot be used."""

    installed: InstalledModel
    forecast: Forecast | None
    files: tuple[Path, ...] = ()  # all of them
    disk_bytes: int = 0  # what they take on the drive
    place: Path = Path()  # of the first, without links


def find_models(opened: Sequence[Path], forecaster: Forecaster) -> Iterator[tuple[FoundModel, ...]]:
    """The models on this computer, `opened` among them; a question for the `ForecastService`.

    First our own and the opened ones, then again with those of other applications, whose folders
    take longer to search. A file on a network share that does not answer is left out.
    """
    opened = [path for path in opened if drive_answers(path)]
    read = forecaster.headers.read_header
    yield tuple(_describe(each, forecaster) for each in installed_models(opened, read=read))
    if others := app_files():
        models = installed_models(opened, others, read)
        yield tuple(_describe(each, forecaster) for each in models)


def find_r1_file(forecaster: Forecaster) -> Iterator[AppFile]:
    """A DeepSeek-R1 model on this computer: the largest that the budget holds, else the smallest.

    There is no answer without one.
    """
    sizes: dict[AppFile, int] = {}
    for file in app_files():
        if _R1_NAME.search(file.name or file.path.name):
            with suppress(OSError):  # it has gone since it was found
                sizes[file] = file.path.stat().st_size
    budget_bytes = forecaster.settings.memory_budget << 20
    fitting = [file for file, size in sizes.items() if size < budget_bytes]
    if fitting:
        yield max(fitting, key=lambda file: sizes[file])
    elif sizes:
        yield min(sizes, key=lambda file: sizes[file])


def _describe(model: InstalledModel, forecaster: Forecaster) -> FoundModel:
    files = files_of(model.path)
    return FoundModel(
        model,
        forecaster.forecast(model.header) if model.header is not None else None,
        files,
        sum(file.stat().st_size for file in files if file.is_file()),
        resolved(model.path),
    )


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


def owner_name(owner: Owner) -> str:
    """The name of another application, or of the folder of downloads."""
    return tr("Downloads folder") if owner is Owner.DOWNLOADS else owner.value


def owner_text(model: InstalledModel) -> str:
    """The name of the owner."""
    if model.owner is not None:
        return owner_name(model.owner)
    return {
        Origin.STARTER: tr("the installation"),
        Origin.FOLDER: "R1 Desk",
        Origin.OPENED: tr("a file you opened"),
        Origin.OTHER_APP: tr("another application"),
    }[model.origin]


def why_kept(model: InstalledModel, *, loaded: bool) -> str:
    """The reason why a file cannot be deleted here; empty where it can."""
    if model.origin is Origin.STARTER:
        return tr("It came with the installation and goes with it.")
    if model.owner is Owner.OLLAMA:
        return tr(
            "Ollama keeps a list of its files. Delete it with: ollama rm {name}", name=model.name
        )
    if loaded:
        return tr("It is loaded. Unload it before you delete it.")
    return ""


def deletion_note(model: InstalledModel) -> str:
    """The effect of deleting a file for its owner."""
    if model.owner is None and model.origin is Origin.FOLDER:
        return tr("It is in the models folder of R1 Desk.")
    if model.owner is Owner.DOWNLOADS or model.owner is None:
        return tr("It is not in the models folder of R1 Desk, which only uses it where it is.")
    return tr(
        "It belongs to {owner}, which will no longer have this model.", owner=model.owner.value
    )

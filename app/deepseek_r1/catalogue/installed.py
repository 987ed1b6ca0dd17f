"""The models on this machine: the starter, the user's folder, opened and other programs' files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.app_folders import MOST_DEPTH, AppFile, Owner, files_below
from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.known_models import KnownFile, KnownModel, known_models
from deepseek_r1.core.errors import ErrorReport, ModelRefused
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.formats.gguf import ModelHeader, read_header

_LATER_PART = re.compile(r".*-(?!00001)\d{5}-of-\d{5}\.gguf", re.DOTALL)


HeaderSource = Callable[[Path], ModelHeader]  # raises ModelRefused


class Origin(StrEnum):
    """The reason why a model is in the list."""

    STARTER = "starter"
    FOLDER = "folder"
    OPENED = "opened"
    OTHER_APP = "other_app"  # used where it is


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model file on this computer. `error` says why it cannot be used, None if it can.

    `owner` is set for the files of other applications.
    """

    path: Path
    origin: Origin
    name: str
    header: ModelHeader | None
    known: KnownModel | None
    error: ErrorReport | None
    owner: Owner | None = None


def installed_models(
    opened: Iterable[Path] = (), others: Iterable[AppFile] = (), read: HeaderSource = read_header
) -> tuple[InstalledModel, ...]:
    """Lists the models on this computer, each once: starter, folder's, `opened`, `others`.

    Of the other applications' files only those that can be used are listed. `read` reads a file's
    header, about 0.1 s each: call it outside the window's thread, with a `HeaderProcess` there.
    """
    owners = {resolved(each.path): each for each in others}
    found: dict[Path, InstalledModel] = {}
    for path, origin in _candidates(opened):
        model = _describe(path, origin, owners.get(resolved(path)), read)
        found.setdefault(_identity(model), model)
    for file in owners.values():
        if resolved(file.path) in found:
            continue
        model = _describe(file.path, Origin.OTHER_APP, file, read)
        if model.error is None:
            found.setdefault(_identity(model), model)
    return tuple(found.values())


def _candidates(opened: Iterable[Path]) -> Iterator[tuple[Path, Origin]]:
    starter = starter_model()
    if starter is not None:
        yield starter, Origin.STARTER
    for folder in models_dirs():
        for path in model_files(folder):
            yield path, Origin.FOLDER
    for path in opened:
        yield path, Origin.OPENED


def model_files(folder: Path) -> tuple[Path, ...]:
    """Lists the models of a folder, split ones by their first part, without hidden folders.

    The search has limits: the folder may be one with everything else in it.
    """
    files = (path for path in files_below(folder, MOST_DEPTH) if path.suffix == ".gguf")
    shown = (
        path
        for path in files
        if not _LATER_PART.fullmatch(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return tuple(sorted(shown, key=lambda path: path.name.casefold()))


def _identity(model: InstalledModel) -> Path:
    """Returns one path for a model that several paths or parts lead to."""
    return resolved(model.header.path if model.header is not None else model.path)


def resolved(path: Path) -> Path:
    """Returns the path without links, or unchanged where that is not possible."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # circular links, a NUL in the name
        return path


def _describe(
    path: Path, origin: Origin, file: AppFile | None, read: HeaderSource
) -> InstalledModel:
    owner = file.owner if file is not None else None
    try:
        header = read(path)
    except ModelRefused as error:
        return InstalledModel(path, origin, path.stem, None, None, error.report(), owner)
    known = known_by(header)
    stated = file.name if file is not None else ""
    name = stated or (known[0].name if known is not None else header.name)
    return InstalledModel(header.path, origin, name, header, known and known[0], None, owner)


def known_by(header: ModelHeader) -> tuple[KnownModel, KnownFile] | None:
    """Returns the catalogue's entry for a file with this name, shape and size.

    This is a guess; only the checksum proves which file it is.
    """
    for model in known_models():
        shape = (header.blocks, header.embedding, header.vocabulary)
        if shape != (model.shape.blocks, model.shape.embedding, model.shape.vocabulary):
            continue
        for file in model.files:
            close = abs(file.size_bytes - header.file_bytes) <= SIZE_SLACK_BYTES
            if file.file.casefold() == header.path.name.casefold() and close:
                return model, file
    return None

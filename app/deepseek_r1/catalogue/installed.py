"""The models on this machine: the starter, the user's folder, and files opened before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.models import KnownFile, KnownModel, known_models
from deepseek_r1.catalogue.orders import SIZE_SLACK_BYTES
from deepseek_r1.core.errors import ErrorReport, ModelRefused
from deepseek_r1.core.paths import starter_model, user_models_dir
from deepseek_r1.formats.gguf import ModelHeader, read_header

_LATER_PART = re.compile(r".*-(?!00001)\d{5}-of-\d{5}\.gguf", re.DOTALL)


class Origin(StrEnum):
    """How a model came to be in the list."""

    STARTER = "starter"
    FOLDER = "folder"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model file on this machine. `error` says why it cannot be used, where it cannot."""

    path: Path
    origin: Origin
    name: str
    header: ModelHeader | None
    known: KnownModel | None
    error: ErrorReport | None


def installed_models(opened: Iterable[Path] = ()) -> tuple[InstalledModel, ...]:
    """The models on this machine, each once: the starter, the folder's by name, then `opened`.

    Reads every file's header, a tenth of a second each: not for a thread that draws a window.
    """
    found: dict[Path, InstalledModel] = {}
    for path, origin in _candidates(opened):
        model = _describe(path, origin)
        found.setdefault(_identity(model), model)
    return tuple(found.values())


def _candidates(opened: Iterable[Path]) -> Iterator[tuple[Path, Origin]]:
    starter = starter_model()
    if starter is not None:
        yield starter, Origin.STARTER
    for path in model_files(user_models_dir()):
        yield path, Origin.FOLDER
    for path in opened:
        yield path, Origin.OPENED


def model_files(folder: Path) -> tuple[Path, ...]:
    """The models of a folder by name, of split ones the first part. Hidden folders are not ours."""
    if not folder.is_dir():
        return ()
    files = (path for path in folder.rglob("*.gguf") if path.is_file())
    shown = (
        path
        for path in files
        if not _LATER_PART.fullmatch(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return tuple(sorted(shown, key=lambda path: path.name.casefold()))


def _identity(model: InstalledModel) -> Path:
    """One model may be reached by several paths, and by several parts."""
    path = model.header.path if model.header is not None else model.path
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, a NUL in the name
        return path


def _describe(path: Path, origin: Origin) -> InstalledModel:
    try:
        header = read_header(path)
    except ModelRefused as error:
        return InstalledModel(path, origin, path.stem, None, None, error.report())
    known = known_by(header)
    name = known[0].name if known is not None else header.name
    return InstalledModel(header.path, origin, name, header, known and known[0], None)


def known_by(header: ModelHeader) -> tuple[KnownModel, KnownFile] | None:
    """The catalogue's entry for a file with this name, shape and size.

    A likeness, no proof: only the checksum proves that a file is what it says.
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

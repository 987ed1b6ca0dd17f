"""The models on this machine: the starter, the user's folder, opened and other programs' files.

Of other applications' folders only those listed here are searched, to a limited depth and number of
entries. Their files are found by names and first bytes; nothing is changed. Sources of the folders:
the documentation of LM Studio, Jan, GPT4All and Ollama, and `huggingface_hub`'s cache layout.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import BaseModel, Field, ValidationError

from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.file_rules import part_of
from deepseek_r1.catalogue.known_models import KnownFile, KnownModel, known_models
from deepseek_r1.core.errors import ErrorReport, ModelRefused
from deepseek_r1.core.models_folders import models_dirs
from deepseek_r1.core.paths import starter_model
from deepseek_r1.formats.container import MAGIC
from deepseek_r1.formats.gguf import ModelHeader, read_header

MOST_ENTRIES = 20_000  # looked at below one folder
MOST_DEPTH = 8
MOST_FILES = 200  # of one owner
MODEL_LAYER = "application/vnd.ollama.image.model"
_MOST_MANIFEST_BYTES = 256 << 10
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
HeaderSource = Callable[[Path], ModelHeader]  # raises ModelRefused


class Origin(StrEnum):
    """The reason why a model is in the list."""

    STARTER = "starter"
    FOLDER = "folder"
    OPENED = "opened"
    OTHER_APP = "other_app"  # used where it is


class Owner(StrEnum):
    """The application that keeps a file, or the folder of downloads. The value is its name."""

    LM_STUDIO = "LM Studio"
    JAN = "Jan"
    GPT4ALL = "GPT4All"
    OLLAMA = "Ollama"
    HUGGING_FACE = "Hugging Face"
    DOWNLOADS = "Downloads"


@dataclass(frozen=True, slots=True)
class AppFile:
    """A model file that another application keeps. `name` is the owner's name for it, or empty."""

    path: Path
    owner: Owner
    name: str = ""


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
    shown = (
        path
        for path in _files_below(folder, MOST_DEPTH, ".gguf")
        if path.suffix == ".gguf"
        and not _is_later_part(path.name)
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
        if shape != (model.shape.blocks, model.shape.embedding, model.vocabulary):
            continue
        for file in model.files:
            slack = SIZE_SLACK_BYTES if file.sha256 else file.size_bytes // 20
            close = abs(file.size_bytes - header.file_bytes) <= slack
            if file.file.casefold() == header.path.name.casefold() and close:
                return model, file
    return None


class _Layer(BaseModel):
    media_type: Annotated[str, Field(alias="mediaType")]
    digest: Annotated[str, Field(max_length=80)]


class _Manifest(BaseModel):
    """An OCI manifest as Ollama writes it; other fields are ignored."""

    layers: Annotated[list[_Layer], Field(max_length=100)]


def app_files(folders: dict[Owner, tuple[Path, ...]] | None = None) -> tuple[AppFile, ...]:
    """The files in `folders`, by default those of `app_folders`. Some seconds on slow drives."""
    found: list[AppFile] = []
    for owner, places in (folders if folders is not None else app_folders()).items():
        search = _ollama_files if owner is Owner.OLLAMA else _gguf_files
        for place in dict.fromkeys(places):
            kept = (each for each in search(owner, place) if not _is_later_part(each.path.name))
            found += islice(kept, MOST_FILES)
    return tuple(found)


def app_folders() -> dict[Owner, tuple[Path, ...]]:
    """The folders where each application keeps its models on this system."""
    user = Path.home()
    data = Path(platformdirs.user_data_dir(appauthor=False, roaming=sys.platform == "win32"))
    local = Path(platformdirs.user_data_dir(appauthor=False))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or user / ".cache")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    hub_parent = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    ollama = os.environ.get("OLLAMA_MODELS")
    return {
        Owner.LM_STUDIO: (user / ".lmstudio" / "models", user / ".cache" / "lm-studio" / "models"),
        Owner.JAN: (data / "Jan" / "data", user / "jan" / "models"),
        Owner.GPT4ALL: (local / "nomic.ai" / "GPT4All",),
        Owner.OLLAMA: (
            *([Path(ollama)] if ollama else []),
            user / ".ollama" / "models",
            Path("/usr/share/ollama/.ollama/models"),
        ),
        Owner.HUGGING_FACE: (Path(hub) if hub else hub_parent / "hub",),
        Owner.DOWNLOADS: (Path(platformdirs.user_downloads_dir()),),
    }


def _gguf_files(owner: Owner, folder: Path) -> Iterator[AppFile]:
    """Files named *.gguf that begin as GGUF does; the vision parts of models are left out."""
    depth = 1 if owner is Owner.DOWNLOADS else MOST_DEPTH
    for path in _files_below(folder, depth, ".gguf"):
        if "mmproj" not in path.name and _is_gguf(path):
            yield AppFile(path, owner)


def _ollama_files(owner: Owner, folder: Path) -> Iterator[AppFile]:
    """The blobs that a manifest calls a model, named as `ollama run` calls them."""
    manifests = folder / "manifests"
    for path in _files_below(manifests, MOST_DEPTH):
        blob = _model_blob(path, folder / "blobs")
        if blob is not None and _is_gguf(blob):
            _, *names, model, tag = ("", *path.relative_to(manifests).parts[-3:])
            prefix = "" if names[-1:] == ["library"] else "/".join((*names, ""))
            yield AppFile(blob, owner, f"{prefix}{model}:{tag}")


def _model_blob(manifest: Path, blobs: Path) -> Path | None:
    try:
        with manifest.open("rb") as file:
            layers = _Manifest.model_validate_json(file.read(_MOST_MANIFEST_BYTES)).layers
    except (OSError, ValidationError):
        return None
    for layer in layers:
        digest = _DIGEST.fullmatch(layer.digest)
        if layer.media_type == MODEL_LAYER and digest is not None:
            return blobs / f"sha256-{digest[1]}"
    return None


def _files_below(folder: Path, depth: int, suffix: str = "") -> Iterator[Path]:
    """Files and links to files, sorted within each folder; linked folders are not entered."""
    left, waiting = MOST_ENTRIES, [(folder, depth)]
    while waiting:
        here, levels = waiting.pop()
        listed: list[os.DirEntry[str]] = []
        below: list[tuple[Path, int]] = []
        with suppress(OSError), os.scandir(here) as entries:  # it may be another user's
            listed = sorted(islice(entries, left), key=lambda entry: entry.name.casefold())
        left -= len(listed)
        for entry in listed:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    below.append((Path(entry.path), levels - 1))
                elif entry.name.lower().endswith(suffix) and entry.is_file():
                    yield Path(entry.path)
        if levels > 1:
            waiting += reversed(below)


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _is_later_part(name: str) -> bool:
    part = part_of(name)
    return part is not None and part[1] != 1

"""The models on this machine: the starter, the user's folder, opened and other programs' files.

Of other applications' folders only those listed here are searched, to a limited depth and number of
entries. Their files are found by names and first bytes; nothing is changed. Sources of the folders:
the documentation of LM Studio, Jan, GPT4All and Ollama, and `huggingface_hub`'s cache layout.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import BaseModel, Field, ValidationError

from deepseek_r1.catalogue.download_spec import SIZE_SLACK_BYTES
from deepseek_r1.catalogue.file_rules import files_of, part_of
from deepseek_r1.catalogue.known_models import KnownFile, KnownModel, known_models
from deepseek_r1.catalogue.model_file import ModelFile, Owner
from deepseek_r1.core.errors import ModelRefused
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


def installed_models(
    opened: Iterable[Path] = (), others: Iterable[ModelFile] = (), read: HeaderSource = read_header
) -> tuple[ModelFile, ...]:
    """Lists the models on this computer, each once: starter, folder's, `opened`, `others`.

    Of the other applications' files only those that can be used are listed. `read` reads a file's
    header, about 0.1 s each: call it outside the window's thread, with a `HeaderProcess` there.
    """
    owners = {resolved(path): each for each in others if (path := each.path) is not None}
    found: dict[Path, ModelFile] = {}
    for path, owner in _candidates(opened):
        model = _describe(path, owner, owners.get(resolved(path)), read)
        found.setdefault(model.real_path or path, model)
    for place, file in owners.items():
        if place not in found and file.path is not None:
            model = _describe(file.path, file.owner, file, read)
            if model.error is None:
                found.setdefault(model.real_path or place, model)
    return tuple(found.values())


def _candidates(opened: Iterable[Path]) -> Iterator[tuple[Path, Owner]]:
    starter = starter_model()
    if starter is not None:
        yield starter, Owner.STARTER
    for folder in models_dirs():
        for path in model_files(folder):
            yield path, Owner.FOLDER
    for path in opened:
        yield path, Owner.OPENED


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


def resolved(path: Path) -> Path:
    """Returns the path without links, or unchanged where that is not possible."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # circular links, a NUL in the name
        return path


def _describe(
    path: Path, owner: Owner | None, file: ModelFile | None, read: HeaderSource
) -> ModelFile:
    """The file at a path; `file` is what another application says of it."""
    header, known, error = None, None, None
    try:
        header = read(path)
    except ModelRefused as refused:
        error = refused.report()
        name = path.stem
    else:
        path, found = header.path, known_by(header)
        known = found[0] if found is not None else None
        stated = file.name if file is not None else ""
        name = stated or (known.name if known is not None else header.name)
    return ModelFile(
        name,
        path.name,
        header.quantisation if header is not None else "",
        sum(each.stat().st_size for each in files_of(path) if each.is_file()),
        header,
        known=known,
        path=path,
        real_path=resolved(path),
        owner=file.owner if file is not None else owner,
        error=error,
    )


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


def app_files(folders: dict[Owner, tuple[Path, ...]] | None = None) -> tuple[ModelFile, ...]:
    """The files in `folders`, by default those of `app_folders`. Some seconds on slow drives."""
    found: list[ModelFile] = []
    for owner, places in (folders if folders is not None else app_folders()).items():
        search = _ollama_files if owner is Owner.OLLAMA else _gguf_files
        for place in dict.fromkeys(places):
            kept = (each for each in search(owner, place) if not _is_later_part(each.file))
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


def _gguf_files(owner: Owner, folder: Path) -> Iterator[ModelFile]:
    """Files named *.gguf that begin as GGUF does; the vision parts of models are left out."""
    depth = 1 if owner is Owner.DOWNLOADS else MOST_DEPTH
    for path in _files_below(folder, depth, ".gguf"):
        if "mmproj" not in path.name and _is_gguf(path):
            yield ModelFile("", path.name, path=path, owner=owner)


def _ollama_files(owner: Owner, folder: Path) -> Iterator[ModelFile]:
    """The blobs that a manifest calls a model, named as `ollama run` calls them."""
    manifests = folder / "manifests"
    for path in _files_below(manifests, MOST_DEPTH):
        blob = _model_blob(path, folder / "blobs")
        if blob is not None and _is_gguf(blob):
            _, *names, model, tag = ("", *path.relative_to(manifests).parts[-3:])
            prefix = "" if names[-1:] == ["library"] else "/".join((*names, ""))
            name = f"{prefix}{model}:{tag}"
            yield ModelFile(name, blob.name, path=blob, owner=owner)


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

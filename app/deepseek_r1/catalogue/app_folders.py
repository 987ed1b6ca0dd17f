"""Finds the GGUF files that other applications keep on this computer, and the user's downloads.

Only the folders listed here are searched, to a limited depth and number of entries. Files are found
by their names and first bytes; nothing is changed. Sources of the folders: the documentation of LM
Studio, Jan, GPT4All and Ollama, and `huggingface_hub`'s cache layout.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import BaseModel, Field, ValidationError

from deepseek_r1.formats.container import MAGIC

MOST_ENTRIES = 20_000  # looked at below one folder
MOST_DEPTH = 8
MOST_FILES = 200  # of one owner
_MOST_MANIFEST_BYTES = 256 << 10
MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


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
    for path in files_below(folder, depth):
        if path.suffix.lower() == ".gguf" and "mmproj" not in path.name and _is_gguf(path):
            yield AppFile(path, owner)


def _ollama_files(owner: Owner, folder: Path) -> Iterator[AppFile]:
    """The blobs that a manifest calls a model, named as `ollama run` calls them."""
    manifests = folder / "manifests"
    for path in files_below(manifests, MOST_DEPTH):
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


def files_below(folder: Path, depth: int) -> Iterator[Path]:
    """Files and links to files, sorted within each folder; linked folders are not entered."""
    left = [MOST_ENTRIES]
    yield from _walk(folder, depth, left)


def _walk(folder: Path, depth: int, left: list[int]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(
                (entry for entry, _ in zip(entries, range(left[0]), strict=False)),
                key=lambda entry: entry.name.casefold(),
            )
    except OSError:  # it is not there, or is another user's
        return
    left[0] -= len(listed)
    below = []
    for entry in listed:
        try:
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)
        except OSError:
            continue
    for each in below if depth > 1 else ():
        yield from _walk(each, depth - 1, left)


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _is_later_part(name: str) -> bool:
    return re.fullmatch(r".*-(?!00001)\d{5}-of-\d{5}\.gguf", name, re.DOTALL) is not None

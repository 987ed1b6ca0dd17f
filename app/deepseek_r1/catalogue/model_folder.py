"""Finds, verifies and removes models in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.checksums import Stop, file_sha256, forget, remembered
from deepseek_r1.catalogue.disk_errors import disk_errors
from deepseek_r1.catalogue.download_progress import (
    DownloadPhase,
    DownloadProgress,
    ProgressCallback,
)
from deepseek_r1.catalogue.errors import ModelNotHere
from deepseek_r1.catalogue.file_names import files_of
from deepseek_r1.catalogue.installed import known_by, model_files
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.formats.gguf import read_header


class VerifyResult(StrEnum):
    """The result of comparing a file with its checksum."""

    PUBLISHED = "published"  # it has the published checksum
    UNCHANGED = "unchanged"  # since it was downloaded or imported; no published checksum
    CHANGED = "changed"
    UNKNOWN = "unknown"  # no checksum is known
    UNUSABLE = "unusable"  # its header is refused


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for one file. `expected` is empty where no checksum is known."""

    path: Path
    verdict: VerifyResult
    sha256: str
    expected: str
    detail: str = ""

    @property
    def sound(self) -> bool:
        """True unless the file has changed or cannot be used."""
        return self.verdict not in (VerifyResult.CHANGED, VerifyResult.UNUSABLE)


def find_model(name: str, *folders: Path) -> Path:
    """Returns a model of the folders by its file name, with or without suffix, or catalogue id.

    Raises ModelNotHere, which names the first folder.
    """
    wanted = name.casefold()
    files = [path for folder in folders for path in model_files(folder)]
    for path in files:
        if wanted in (path.name.casefold(), path.stem.casefold()):
            return path
    published = [
        file.file
        for model in known_models()
        for file in model.files
        if wanted in (model.id, f"{model.id}/{file.quantisation}".casefold())
    ]
    for path in files:
        if path.name in published:
            return path
    raise ModelNotHere(name=name, folder=str(folders[0]))


def verify(
    path: Path,
    *,
    on_progress: ProgressCallback = lambda _progress: None,
    stop: Stop | None = None,
) -> tuple[Verified, ...]:
    """Read a model's files completely and compare them with the known checksums.

    Raises FolderUnusable, DownloadStopped.
    """
    with disk_errors(path.name, path.parent):
        return tuple(_verify_file(each, on_progress, stop) for each in files_of(path))


def _verify_file(path: Path, on_progress: ProgressCallback, stop: Stop | None) -> Verified:
    size = path.stat().st_size
    sha256 = file_sha256(
        path,
        on_progress=lambda done: on_progress(
            DownloadProgress(path.name, DownloadPhase.CHECKING, done, size)
        ),
        stop=stop,
    )
    try:
        known = known_by(read_header(path))
    except ModelRefused as refused:
        return Verified(path, VerifyResult.UNUSABLE, sha256, remembered(path) or "", str(refused))
    published = known[1].sha256 if known is not None else None
    expected = published or remembered(path)
    if expected is None:
        return Verified(path, VerifyResult.UNKNOWN, sha256, "")
    if sha256 != expected:
        return Verified(path, VerifyResult.CHANGED, sha256, expected)
    verdict = VerifyResult.PUBLISHED if published else VerifyResult.UNCHANGED
    return Verified(path, verdict, sha256, expected)


def remove(path: Path) -> int:
    """Delete a model's files and their kept checksums. Returns the bytes freed.

    Removing a link frees nothing, or the few bytes of a symbolic link.
    Raises FolderUnusable.
    """
    with disk_errors(path.name, path.parent):
        total = 0
        for each in files_of(path):
            about = each.lstat()
            total += about.st_size if about.st_nlink == 1 else 0
            each.unlink()
            forget(each)
        return total

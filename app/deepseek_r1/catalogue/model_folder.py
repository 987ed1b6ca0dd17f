"""Imports, finds, verifies and removes models in the user's folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.checksums import (
    BLOCK_BYTES,
    Stop,
    file_sha256,
    forget,
    remember,
    remembered,
)
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    ProgressCallback,
    PulledModel,
)
from deepseek_r1.catalogue.errors import (
    FileNameTaken,
    ImportedFileDiffers,
    ImportRunning,
    LinkImpossible,
    ModelNotHere,
)
from deepseek_r1.catalogue.file_rules import (
    SUFFIX,
    checked_name,
    disk_errors,
    files_of,
    require_space,
)
from deepseek_r1.catalogue.installed import known_by, model_files
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.partial_file import STAGING, prepare_staging, staging_lock
from deepseek_r1.core.atomic_write import sync_folder
from deepseek_r1.core.errors import ModelRefused, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.gguf import ModelHeader, read_header


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
        return tuple(_verify_file(each, on_progress, stop or Stop()) for each in files_of(path))


def _verify_file(path: Path, on_progress: ProgressCallback, stop: Stop) -> Verified:
    sha256 = file_sha256(path, stop, on_progress)
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


class ImportMethod(StrEnum):
    """The operation that puts a file into the folder."""

    COPY = "copy"
    MOVE = "move"
    LINK = "link"  # a hard link on one drive, else a symbolic one


def import_model(
    path: Path,
    folder: Path,
    *,
    method: ImportMethod = ImportMethod.COPY,
    sha256: str | None = None,
    name: str | None = None,
    on_progress: ProgressCallback = lambda _progress: None,
    stop: Stop | None = None,
) -> PulledModel:
    """Import a model with all its parts into `folder`. Checks the header, then the checksum.

    `sha256` is allowed for a model in one file; without it the catalogue's checksum is used if the
    file looks like a known one. Raises ModelRefused and its kinds, FileNameUnusable,
    ImportRunning, NoSpace, LinkImpossible, FolderUnusable, DownloadStopped.
    """
    header = read_header(path)
    if len(header.parts) > 1 and (sha256 is not None or name is not None):
        raise WrongUsage(detail=tr("A model in several files is imported without these options."))
    expected = sha256 or _catalogue_sha256(header)
    names = [checked_name(name or part.stem + SUFFIX) for part in header.parts]
    stopper = stop or Stop()
    with disk_errors(names[0], folder), contextlib.ExitStack() as locks:
        prepare_staging(folder)
        for each in names:
            locks.enter_context(staging_lock(folder, each, ImportRunning))
        _require_space(header, folder, method)
        digests = []
        for part, each in zip(header.parts, names, strict=True):
            job = _Import(part, folder / each, method, on_progress, stopper)
            digests.append(job.run(expected))
        sync_folder(folder)
    return PulledModel(
        path=folder / names[0],
        files=tuple(folder / each for each in names),
        sha256=tuple(digests),
        verified=expected is not None,
        new=True,
    )


def _catalogue_sha256(header: ModelHeader) -> str | None:
    known = known_by(header)
    return known[1].sha256 if known is not None else None


def _require_space(header: ModelHeader, folder: Path, method: ImportMethod) -> None:
    if method is ImportMethod.LINK or (
        method is ImportMethod.MOVE and _same_drive(header.path, folder)
    ):
        return
    require_space(header.path.name, folder, header.file_bytes)


class _Import:
    """The import of one file to `place`."""

    def __init__(
        self,
        path: Path,
        place: Path,
        method: ImportMethod,
        on_progress: ProgressCallback,
        stop: Stop,
    ) -> None:
        self._path, self._place, self._method = path, place, method
        self._on_progress, self._stop = on_progress, stop

    def run(self, expected: str | None) -> str:
        """Import the file and return its SHA-256."""
        if self._place.exists():
            sha256 = self._hashed(expected)
            if file_sha256(self._place, self._stop) != sha256:
                raise FileNameTaken(file=self._place.name, folder=str(self._place.parent))
        elif self._method is ImportMethod.LINK:
            sha256 = self._hashed(expected)
            _link(self._path, self._place)
        elif self._method is ImportMethod.MOVE and _same_drive(self._path, self._place.parent):
            sha256 = self._hashed(expected)
            self._path.rename(self._place)
        else:
            sha256 = self._copied(expected)
            if self._method is ImportMethod.MOVE:
                self._path.unlink()
        remember(self._place, sha256)
        return sha256

    def _hashed(self, expected: str | None) -> str:
        sha256 = file_sha256(self._path, self._stop, self._on_progress, self._place.name)
        return self._require(sha256, expected)

    def _require(self, sha256: str, expected: str | None) -> str:
        if expected is not None and sha256 != expected:
            raise ImportedFileDiffers(file=str(self._path), actual=sha256, expected=expected)
        return sha256

    def _copied(self, expected: str | None) -> str:
        staged = self._place.parent / STAGING / f"{self._place.name}.import"
        try:
            sha256 = self._require(self._copy(staged), expected)
            staged.replace(self._place)
        finally:
            staged.unlink(missing_ok=True)
        return sha256

    def _copy(self, staged: Path) -> str:
        digest, done, size = hashlib.sha256(), 0, self._path.stat().st_size
        with self._path.open("rb", buffering=0) as source, staged.open("wb") as target:
            while block := source.read(BLOCK_BYTES):
                target.write(block)
                digest.update(block)
                done += len(block)
                self._on_progress(
                    DownloadProgress(self._place.name, DownloadPhase.CHECKING, done, size)
                )
                self._stop.check(self._path.name)
            target.flush()
            os.fsync(target.fileno())
        return digest.hexdigest()


def _same_drive(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev


def _link(path: Path, place: Path) -> None:
    target = path.resolve()
    try:
        if _same_drive(target, place.parent):
            place.hardlink_to(target)
        else:
            place.symlink_to(target)
    except OSError as error:
        raise LinkImpossible(path=str(path), detail=error.strerror or str(error)) from error

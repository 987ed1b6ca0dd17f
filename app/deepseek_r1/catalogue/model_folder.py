"""Imports, finds, verifies and removes models in the user's folder."""

import contextlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.checksums import Stop, file_sha256, forget, remember, remembered
from deepseek_r1.catalogue.download_spec import ProgressCallback, PulledModel
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
    """Returns a model by its file name, its stem or its catalogue's id. Raises ModelNotHere."""
    wanted = name.casefold()
    files = [path for folder in folders for path in model_files(folder)]
    published = [
        file.file
        for model in known_models()
        for file in model.files
        if wanted in (model.id, f"{model.id}/{file.quantisation}".casefold())
    ]
    found = [path for path in files if wanted in (path.name.casefold(), path.stem.casefold())]
    found += [path for path in files if path.name in published]
    if not found:
        raise ModelNotHere(name=name, folder=str(folders[0]))
    return found[0]


def verify(
    path: Path, on_progress: ProgressCallback = lambda _progress: None
) -> tuple[Verified, ...]:
    """Compare all of a model's files with the known checksums. Raises FolderUnusable."""
    with disk_errors(path.name, path.parent):
        return tuple(_verify_file(each, on_progress) for each in files_of(path))


def _verify_file(path: Path, on_progress: ProgressCallback) -> Verified:
    sha256 = file_sha256(path, Stop(), on_progress)
    try:
        published = _published_sha256(read_header(path))
    except ModelRefused as refused:
        return Verified(path, VerifyResult.UNUSABLE, sha256, remembered(path) or "", str(refused))
    expected = published or remembered(path)
    if expected is None:
        return Verified(path, VerifyResult.UNKNOWN, sha256, "")
    if sha256 != expected:
        return Verified(path, VerifyResult.CHANGED, sha256, expected)
    verdict = VerifyResult.PUBLISHED if published else VerifyResult.UNCHANGED
    return Verified(path, verdict, sha256, expected)


def remove(path: Path) -> int:
    """Delete a model's files and their kept checksums. Returns the bytes freed: none by a link.

    Raises FolderUnusable.
    """
    total = 0
    with disk_errors(path.name, path.parent):
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
) -> PulledModel:
    """Import a model with all its parts into `folder`. Checks the header, then the checksum.

    `sha256` is allowed for a model in one file; without it the catalogue's checksum is used if the
    file looks like a known one. Raises ModelRefused and its kinds, FileNameUnusable,
    ImportRunning, NoSpace, LinkImpossible, FolderUnusable.
    """
    header = read_header(path)
    if len(header.parts) > 1 and (sha256 is not None or name is not None):
        raise WrongUsage(detail=tr("A model in several files is imported without these options."))
    expected = sha256 or _published_sha256(header)
    names = [checked_name(name or part.stem + SUFFIX) for part in header.parts]
    places = tuple(folder / each for each in names)
    with disk_errors(names[0], folder), contextlib.ExitStack() as locks:
        prepare_staging(folder)
        for each in names:
            locks.enter_context(staging_lock(folder, each, ImportRunning))
        if _copies(method, path, folder):
            require_space(path.name, folder, header.file_bytes)
        digests = [
            _import_file(part, each, method, expected, on_progress)
            for part, each in zip(header.parts, places, strict=True)
        ]
        sync_folder(folder)
    return PulledModel(places[0], places, tuple(digests), verified=expected is not None, new=True)


def _published_sha256(header: ModelHeader) -> str | None:
    known = known_by(header)
    return known[1].sha256 if known is not None else None


def _import_file(
    path: Path,
    place: Path,
    method: ImportMethod,
    expected: str | None,
    on_progress: ProgressCallback,
) -> str:
    """Import one file to `place`. Returns its SHA-256."""
    staged = place.parent / STAGING / f"{place.name}.import"
    here, copies = place.exists(), _copies(method, path, place.parent)
    try:
        with staged.open("wb") if copies and not here else contextlib.nullcontext() as copy:
            sha256 = file_sha256(path, Stop(), on_progress, place.name, copy)
            if copy is not None:
                copy.flush()
                os.fsync(copy.fileno())
        if expected not in (None, sha256):
            raise ImportedFileDiffers(file=str(path), actual=sha256, expected=expected)
        if here and file_sha256(place, Stop()) != sha256:
            raise FileNameTaken(file=place.name, folder=str(place.parent))
        if not here and method is ImportMethod.LINK:
            _link(path, place)
        elif not here and copies:
            staged.replace(place)
            if method is ImportMethod.MOVE:
                path.unlink()
        elif not here:
            path.rename(place)
    finally:
        staged.unlink(missing_ok=True)
    remember(place, sha256)
    return sha256


def _copies(method: ImportMethod, path: Path, folder: Path) -> bool:
    rename = method is ImportMethod.MOVE and not path.is_symlink() and _same_drive(path, folder)
    return not rename and method is not ImportMethod.LINK


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

"""The models in the user's folder: which there are, whether they are unchanged, taking one away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepseek_r1.catalogue.arrivals import Phase, Progress, Tell
from deepseek_r1.catalogue.checksums import Stop, file_sha256, forget, remembered
from deepseek_r1.catalogue.disk import disk_errors
from deepseek_r1.catalogue.errors import ModelNotHere
from deepseek_r1.catalogue.installed import known_by, model_files
from deepseek_r1.catalogue.models import known_models
from deepseek_r1.catalogue.names import files_of
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.formats.gguf import read_header


class Verdict(StrEnum):
    """What a check of a file found."""

    PUBLISHED = "published"  # it has the published checksum
    UNCHANGED = "unchanged"  # it is as it came here; that it came right nobody can tell
    CHANGED = "changed"
    UNKNOWN = "unknown"  # there is nothing to compare it with
    UNUSABLE = "unusable"  # its header is refused


@dataclass(frozen=True, slots=True)
class Verified:
    """One file after its check. `expected` is empty where no checksum is known."""

    path: Path
    verdict: Verdict
    sha256: str
    expected: str
    detail: str = ""

    @property
    def sound(self) -> bool:
        """True unless something is wrong with it."""
        return self.verdict not in (Verdict.CHANGED, Verdict.UNUSABLE)


def find_model(name: str, folder: Path) -> Path:
    """A model of the folder by its file's name, with or without ending, or its catalogue id.

    Raises ModelNotHere.
    """
    wanted = name.casefold()
    files = model_files(folder)
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
    raise ModelNotHere(name=name, folder=str(folder))


def verify(
    path: Path,
    *,
    tell: Tell = lambda _progress: None,
    stop: Stop | None = None,
) -> tuple[Verified, ...]:
    """Read a model's files whole and compare them with the checksums known; one answer a file.

    Raises FolderUnusable, DownloadStopped.
    """
    with disk_errors(path.name, path.parent):
        return tuple(_verify_file(each, tell, stop) for each in files_of(path))


def _verify_file(path: Path, tell: Tell, stop: Stop | None) -> Verified:
    size = path.stat().st_size
    sha256 = file_sha256(
        path,
        tell=lambda done: tell(Progress(path.name, Phase.CHECKING, done, size)),
        stop=stop,
    )
    try:
        known = known_by(read_header(path))
    except ModelRefused as refused:
        return Verified(path, Verdict.UNUSABLE, sha256, remembered(path) or "", str(refused))
    published = known[1].sha256 if known is not None else None
    expected = published or remembered(path)
    if expected is None:
        return Verified(path, Verdict.UNKNOWN, sha256, "")
    if sha256 != expected:
        return Verified(path, Verdict.CHANGED, sha256, expected)
    verdict = Verdict.PUBLISHED if published else Verdict.UNCHANGED
    return Verified(path, verdict, sha256, expected)


def remove(path: Path) -> int:
    """Delete a model's files and what is remembered of them; the bytes that are free then.

    A model that was only linked here frees nothing, or a symbolic link's few bytes.
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

"""Downloads a model into the models' folder, which only ever contains verified files.

A download begins as a journal and a partial file in `.downloads` (`partial_file`). It gets its own
name there when its checksum matches, and moves into the folder when its header has been read.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepseek_r1.catalogue.checksums import Stop, file_sha256, remember, remembered
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    DownloadSpec,
    ProgressCallback,
    PulledModel,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import ChecksumWrong, FileNameTaken
from deepseek_r1.catalogue.file_rules import disk_errors, part_of
from deepseek_r1.catalogue.hub_listing import published_spec
from deepseek_r1.catalogue.partial_file import STAGING, PartialFile, prepare_staging, staging_lock
from deepseek_r1.catalogue.transfer import Transfer
from deepseek_r1.core.atomic_write import sync_folder
from deepseek_r1.core.errors import ModelRefused
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import read_header


@dataclass(frozen=True, slots=True)
class _ResolvedDownload:
    spec: DownloadSpec
    path: Path  # in the staging folder, or in the models' folder if it was there before
    sha256: str
    new: bool


FileCheck = Callable[[Path, bool], None]  # of a whole model, or of one file's container alone


def check_file(path: Path, whole: bool) -> None:
    """Check a file that has arrived, in this process. Raises ModelRefused."""
    if whole:
        read_header(path)
    else:
        read_container(path)


def pull(
    specs: Sequence[DownloadSpec],
    folder: Path,
    *,
    policy: RetryPolicy | None = None,
    on_progress: ProgressCallback = lambda _progress: None,
    stop: Stop | None = None,
    check: FileCheck = check_file,
) -> PulledModel:
    """Fetch the files of one model, check them and put them into `folder`.

    Raises DownloadFailed and its kinds (the partial file is kept), ChecksumUnknown, ChecksumWrong,
    FileNameTaken, FileNameUnusable, RepositoryNotListed and RepositoryWithoutModel for a spec that
    a hub is asked about, and the errors of `check`, after which the files are deleted.
    """
    for spec in specs:
        spec.require_checkable()
    with disk_errors(specs[0].file, folder), contextlib.ExitStack() as locks:
        prepare_staging(folder)
        for spec in specs:
            locks.enter_context(staging_lock(folder, spec.file))
        stopper, policy = stop or Stop(), policy or RetryPolicy()
        published = [
            _spec_of_file_here(spec, folder) or published_spec(spec, policy, stopper)
            for spec in specs
        ]
        arrived = [_fetch(spec, folder, policy, on_progress, stopper) for spec in published]
        paths = _place(arrived, folder, check)
    return PulledModel(
        path=paths[0],
        files=tuple(paths),
        sha256=tuple(each.sha256 for each in arrived),
        verified=all(each.spec.verifiable for each in arrived),
        new=any(each.new for each in arrived),
    )


def _spec_of_file_here(spec: DownloadSpec, folder: Path) -> DownloadSpec | None:
    """Returns the spec with the checksum of a file that was downloaded before, if it is here."""
    known = remembered(folder / spec.file) if spec.listed_in is not None else None
    if known is None or not (folder / spec.file).exists():
        return None
    return replace(spec, sha256=known, listed_in=None)


def _fetch(
    spec: DownloadSpec, folder: Path, policy: RetryPolicy, on_progress: ProgressCallback, stop: Stop
) -> _ResolvedDownload:
    place, staged = folder / spec.file, folder / STAGING / spec.file
    for path, new in ((place, False), (staged, True)):
        if path.exists():
            found = file_sha256(path, stop, on_progress)
            if found == spec.sha256:
                return _ResolvedDownload(spec, path, found, new)
            if not new:
                raise FileNameTaken(file=spec.file, folder=str(folder))
            staged.unlink()
    partial = PartialFile(folder, spec)
    try:
        partial.resume(
            stop,
            lambda done: on_progress(
                DownloadProgress(spec.file, DownloadPhase.CHECKING, done, spec.size_bytes)
            ),
        )
        Transfer(partial, policy, on_progress).run(stop)
        sha256 = partial.finish()
    finally:
        partial.close()
    if spec.sha256 is not None and sha256 != spec.sha256:
        partial.discard()
        raise ChecksumWrong(file=spec.file, actual=sha256, expected=spec.sha256)
    partial.part.replace(staged)
    partial.forget_journal()
    return _ResolvedDownload(spec, staged, sha256, new=True)


def _place(arrived: Sequence[_ResolvedDownload], folder: Path, check: FileCheck) -> list[Path]:
    """Check the whole model, then move its new files into the folder.

    Of a split model whose other parts come by other downloads only the containers are checked.
    """
    fresh = [each for each in arrived if each.new]
    part = part_of(arrived[0].spec.file)
    whole = part is None or part[2] == len(arrived)
    try:
        if whole and len(fresh) == len(arrived):
            check(arrived[0].path, True)
        for each in fresh:
            check(each.path, False)
    except ModelRefused:
        for each in fresh:
            each.path.unlink()
        raise
    for each in fresh:
        each.path.replace(folder / each.spec.file)
        remember(folder / each.spec.file, each.sha256)
    sync_folder(folder)
    return [folder / each.spec.file for each in arrived]

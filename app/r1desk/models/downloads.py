"""Runs the downloads: one at a time, in the order they were requested, each in its own process.

A download starts only at the user's request. Partial ones of an earlier session are paused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.catalogue import partial_file
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    DownloadSpec,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import DownloadStopped
from deepseek_r1.catalogue.installed import model_files
from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.models_folders import models_dirs
from r1desk.platform.background_thread import Give, ask_in_background, give_in_background
from r1desk.platform.helper_processes import add_helper, remove_helper
from r1desk.platform.tasks import Tasks, task

# A folder, its unfinished files with how many bytes of each have arrived, and its models' files.
_Found = tuple[Path, Iterable[tuple[DownloadSpec, int]], Iterable[Path]]


class DownloadState(StrEnum):
    """The state of a download."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


ON_ITS_WAY = (DownloadState.QUEUED, DownloadState.RUNNING)


@dataclass(frozen=True, slots=True)
class Download:
    """One file for `folder`. `path` is set once it is done, `report` where it failed."""

    spec: DownloadSpec
    state: DownloadState
    progress: DownloadProgress
    part_bytes: int = 0  # here already; while these are checked, the progress is from 0 again
    load_after: bool = False  # it is loaded as soon as it is done
    path: Path | None = None
    report: ErrorReport | None = None
    folder: Path = Path()


class Downloads(QObject):
    """Lives in the main thread as long as the application."""

    changed = Signal()
    finished = Signal(object)  # Download

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self.policy = RetryPolicy()
        self._all: dict[str, Download] = {}  # by file name, in the order asked
        self.tasks = Tasks(self)
        self._running = ""  # the file that is being fetched
        self._stop = Stop()
        self._delete_running = False  # as soon as it has stopped
        self._closed = False
        self._arrived: dict[str, Path] = {}  # the files that are there, by their names

    @property
    def items(self) -> tuple[Download, ...]:
        """All downloads, the first requested first."""
        return tuple(self._all.values())

    def set_folder(self, folder: Path) -> None:
        """Use another folder for downloads that have no bytes yet; the others keep theirs."""
        self.folder = folder
        self.find_files()

    @task
    async def find_files(self) -> None:
        """Find the files of earlier sessions; partial ones stay paused until resumed."""
        folders = dict.fromkeys((self.folder, *models_dirs()))
        for folder, unfinished, models in await ask_in_background(_found_in, tuple(folders)):
            for spec, done in unfinished:
                paused = _download(spec, folder, DownloadState.PAUSED, done)
                self._all.setdefault(spec.file, paused)
            for path in models:
                self._arrived.setdefault(path.name, path)
        self.changed.emit()

    def start(self, spec: DownloadSpec, *, load_after: bool = False) -> None:
        """Queue a file. A paused or failed download goes on."""
        known = self._all.get(spec.file)
        if known is not None and known.state in ON_ITS_WAY:
            return
        done = known.part_bytes if known is not None else 0
        folder = known.folder if known is not None and done else self.folder
        self._all.pop(spec.file, None)  # to the end of the queue
        new = _download(spec, folder, DownloadState.QUEUED, done)
        self._all[spec.file] = replace(new, load_after=load_after)
        self._next()
        self.changed.emit()

    @Slot(str)
    def pause(self, file: str) -> None:
        """Stop a download; its partial file is kept."""
        if file == self._running:
            self._stop.request()
        elif file in self._all and self._all[file].state is DownloadState.QUEUED:
            self._set(replace(self._all[file], state=DownloadState.PAUSED))

    @Slot(str)
    def resume(self, file: str) -> None:
        """Continue a paused or failed download."""
        if file in self._all:
            known = self._all[file]
            self.start(known.spec, load_after=known.load_after)

    def arrived(self, file: str) -> Path | None:
        """Where a file is that was downloaded, now or in an earlier session."""
        return self._arrived.get(file)

    @Slot(str)
    def dismiss(self, file: str) -> None:
        """Remove a download that does not run from the list; its file is kept, partial or whole."""
        if file in self._all and file != self._running:
            del self._all[file]
            self.changed.emit()

    @Slot(str)
    def delete(self, file: str) -> None:
        """Stop a download and delete its partial file; the file of a finished one is kept."""
        if file == self._running:
            self._delete_running = True
            self._stop.request()
        elif (download := self._all.pop(file, None)) is not None:
            if download.state is not DownloadState.DONE:
                ask_in_background(_discard, download.folder, file)
            self.changed.emit()

    def close(self) -> None:
        """Stop the running download; it is paused the next time. Does not wait for its process."""
        self._closed = True
        self._stop.request()

    def _next(self) -> None:
        queued = (each for each in self._all.values() if each.state is DownloadState.QUEUED)
        download = next(queued, None)
        if self._running or self._closed or download is None:
            return
        self._running, self._stop = download.spec.file, Stop()
        self._delete_running = False
        self._set(replace(download, state=DownloadState.RUNNING, report=None))
        self._run(download, self._stop)

    @task
    async def _run(self, download: Download, stop: Stop) -> None:
        try:
            async for given in give_in_background(_fetch, download, self.policy, stop):
                download = self._all[self._running]
                if isinstance(given, Path):
                    self._arrived[self._running] = given
                    self._delete_running = False
                    ended = replace(download, state=DownloadState.DONE, path=given)
                else:
                    checking = given.phase is DownloadPhase.CHECKING
                    part_bytes = max(given.done_bytes, download.part_bytes if checking else 0)
                    self._set(replace(download, progress=given, part_bytes=part_bytes))
        except DownloadStopped:
            ended = replace(self._all[self._running], state=DownloadState.PAUSED)
        except R1Error as refused:
            report, state = refused.report(), DownloadState.FAILED
            ended = replace(self._all[self._running], state=state, report=report)
        self._end(ended)

    def _set(self, download: Download) -> None:
        self._all[download.spec.file] = download
        self.changed.emit()

    def _end(self, download: Download) -> None:
        file, self._running = self._running, ""
        self._set(download)
        if self._delete_running:
            self.delete(file)
        elif download.state is DownloadState.DONE:
            self.finished.emit(download)
        self._next()


def _found_in(folders: Sequence[Path]) -> list[_Found]:
    return [(each, partial_file.unfinished(each), model_files(each)) for each in folders]


def _download(spec: DownloadSpec, folder: Path, state: DownloadState, done: int) -> Download:
    progress = DownloadProgress(spec.file, DownloadPhase.RECEIVING, done, spec.size_bytes)
    return Download(spec, state, progress, done, folder=folder)


def _fetch(give: Give, download: Download, policy: RetryPolicy, stop: Stop) -> None:
    """Fetch a file in a process of its own: gives the progress, and at the end the file's path."""
    from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

    process = network_process.NetworkProcess(add_helper, remove_helper)
    specs, folder = [download.spec], download.folder
    give(process.pull(specs, folder, policy=policy, on_progress=give, stop=stop).path)


def _discard(folder: Path, file: str) -> None:
    """Deleting gigabytes may take a while on some file systems."""
    try:
        partial_file.discard(folder, file)
    except OSError as error:
        log.models.warning("cannot delete the partial file of %s: %s", file, error)

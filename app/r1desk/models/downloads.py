"""Runs the downloads: one at a time, in the order they were requested, each in its own process.

A download starts only at the user's request. Partial ones of an earlier session are paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot

from deepseek_r1.catalogue import partial_file
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.download_spec import (
    DownloadPhase,
    DownloadProgress,
    DownloadSpec,
    RetryPolicy,
)
from deepseek_r1.catalogue.errors import DownloadStopped
from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.models_folders import models_dirs
from r1desk.platform.background_thread import ask_in_background, in_background
from r1desk.platform.helper_processes import add_helper, remove_helper

# A folder, its unfinished files and how many bytes of each have arrived.
_Partial = tuple[Path, Iterable[tuple[DownloadSpec, int]]]


class DownloadState(StrEnum):
    """The state of a download."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Download:
    """One file for `folder`. `path` is set once it is done, `report` where it failed.

    `part_bytes` are here already. While these are checked, the progress counts from 0 again.
    """

    order: DownloadSpec
    state: DownloadState
    progress: DownloadProgress
    part_bytes: int = 0
    load_after: bool = False  # it is loaded as soon as it is done
    draft: str = ""  # the file of the draft model that was requested with it
    path: Path | None = None
    report: ErrorReport | None = None
    folder: Path = Path()


class Downloads(QObject):
    """Lives in the main thread as long as the application."""

    changed = Signal()
    finished = Signal(object)  # Download
    failed = Signal(object)  # Download

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self.policy = RetryPolicy()
        self._all: dict[str, Download] = {}  # by file name, in the order asked
        self._worker: _Worker | None = None
        self._closed = False
        self._delete_after: set[str] = set()
        self._arrived: dict[str, Path] = {}  # the files that were downloaded, by their names

    @property
    def items(self) -> tuple[Download, ...]:
        """All downloads, the first requested first."""
        return tuple(self._all.values())

    def set_folder(self, folder: Path) -> None:
        """Use another folder for downloads that have no bytes yet; the others keep theirs."""
        self.folder = folder
        self.find_partial()

    def find_partial(self) -> None:
        """Find the partial downloads of earlier sessions; they stay paused until resumed."""
        folders = dict.fromkeys((self.folder, *models_dirs()))
        ask_in_background(partial(_unfinished, tuple(folders))).done.connect(self._on_partial_found)

    def start(self, order: DownloadSpec, *, load_after: bool = False, draft: str = "") -> None:
        """Queue a file. A paused or failed download goes on.

        `draft` is the file of the draft model that was requested with a model.
        """
        known = self._all.get(order.file)
        if known is not None and known.state in (DownloadState.QUEUED, DownloadState.RUNNING):
            return
        done = known.part_bytes if known is not None else 0
        folder = known.folder if known is not None and done else self.folder
        progress = DownloadProgress(order.file, DownloadPhase.RECEIVING, done, order.size_bytes)
        self._all.pop(order.file, None)  # to the end of the queue
        self._all[order.file] = Download(
            order, DownloadState.QUEUED, progress, done, load_after, draft, folder=folder
        )
        self._next()
        self.changed.emit()

    @Slot(str)
    def pause(self, file: str) -> None:
        """Stop a download; its partial file is kept."""
        download = self._all.get(file)
        if download is None:
            return
        if download.state is DownloadState.RUNNING and self._worker is not None:
            self._worker.stop.request()
        elif download.state is DownloadState.QUEUED:
            self._set(replace(download, state=DownloadState.PAUSED))

    @Slot(str)
    def resume(self, file: str) -> None:
        """Continue a paused or failed download."""
        if file in self._all:
            known = self._all[file]
            self.start(known.order, load_after=known.load_after, draft=known.draft)

    def start_with_draft(self, order: DownloadSpec, draft: DownloadSpec | None) -> None:
        """Queue a model behind its draft model, so that both can be loaded when it is done."""
        if draft is not None:
            self.start(draft)
        self.start(order, draft=draft.file if draft is not None else "")

    def arrived(self, file: str) -> Path | None:
        """Where a file is that was downloaded since the start."""
        return self._arrived.get(file)

    @Slot(str)
    def dismiss(self, file: str) -> None:
        """Remove a download that does not run from the list; its file is kept, partial or whole."""
        download = self._all.get(file)
        if download is not None and download.state is not DownloadState.RUNNING:
            del self._all[file]
            self.changed.emit()

    @Slot(str)
    def delete(self, file: str) -> None:
        """Stop a download and delete its partial file; the file of a finished one is kept."""
        download = self._all.get(file)
        if download is None:
            return
        if download.state is DownloadState.RUNNING and self._worker is not None:
            self._delete_after.add(file)
            self._worker.stop.request()
            return
        del self._all[file]
        if download.state is not DownloadState.DONE:
            in_background(self, partial(_discard, download.folder, file))
        self.changed.emit()

    def close(self) -> None:
        """Stop the running download; it is paused the next time. Does not wait for its process."""
        self._closed = True
        if self._worker is not None:
            self._worker.stop.request()

    def _next(self) -> None:
        if self._worker is not None or self._closed:
            return
        queued = (each for each in self._all.values() if each.state is DownloadState.QUEUED)
        download = next(queued, None)
        if download is None:
            return
        self._set(replace(download, state=DownloadState.RUNNING, report=None))
        self._worker = _Worker(download.order, download.folder, self.policy)
        queued_connection = Qt.ConnectionType.QueuedConnection
        self._worker.progressed.connect(self._on_progress, queued_connection)
        self._worker.ended.connect(self._on_worker_ended, queued_connection)
        self._worker.start()

    def _set(self, download: Download) -> None:
        self._all[download.order.file] = download
        self.changed.emit()

    @Slot(object)
    def _on_progress(self, progress: DownloadProgress) -> None:
        download = self._all.get(progress.file)
        if download is not None and download.state is DownloadState.RUNNING:
            checking = progress.phase is DownloadPhase.CHECKING
            part_bytes = max(progress.done_bytes, download.part_bytes if checking else 0)
            self._set(replace(download, progress=progress, part_bytes=part_bytes))

    @Slot()
    def _on_worker_ended(self) -> None:
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for the type checker
        file = worker.order.file
        download = self._all[file]
        if worker.path is not None:
            ended = replace(download, state=DownloadState.DONE, path=worker.path)
            self._arrived[file] = worker.path
            self._delete_after.discard(file)
        elif isinstance(worker.error, DownloadStopped):
            ended = replace(download, state=DownloadState.PAUSED)
        else:
            report = worker.error.report() if worker.error is not None else None
            ended = replace(download, state=DownloadState.FAILED, report=report)
        self._set(ended)
        if file in self._delete_after:
            self._delete_after.remove(file)
            self.delete(file)
        elif ended.state is DownloadState.DONE:
            self.finished.emit(ended)
        elif ended.state is DownloadState.FAILED:
            self.failed.emit(ended)
        self._next()

    @Slot(object)
    def _on_partial_found(self, found: Sequence[_Partial]) -> None:
        for folder, files in found:
            for order, done in files:
                if order.file in self._all:
                    continue
                progress = DownloadProgress(
                    order.file, DownloadPhase.RECEIVING, done, order.size_bytes
                )
                self._all[order.file] = Download(
                    order, DownloadState.PAUSED, progress, done, folder=folder
                )
        self.changed.emit()


class _Worker(QObject):
    """Fetches one file, in a process of its own that a thread waits for. Needs no parent.

    `path` or `error` is set at the end. Signals are emitted in that thread.
    """

    progressed = Signal(object)
    ended = Signal()

    def __init__(self, order: DownloadSpec, folder: Path, policy: RetryPolicy) -> None:
        super().__init__()
        self.order = order
        self.stop = Stop()
        self.path: Path | None = None
        self.error: R1Error | None = None
        self._folder, self._policy = folder, policy

    def start(self) -> None:
        """Begin; `ended` follows."""
        in_background(self, self._fetch)

    def _fetch(self) -> None:
        try:
            from deepseek_r1.catalogue import network_process  # noqa: PLC0415 - not for the start

            process = network_process.NetworkProcess(add_helper, remove_helper)
            self.path = process.pull(
                [self.order],
                self._folder,
                policy=self._policy,
                on_progress=self.progressed.emit,
                stop=self.stop,
            ).path
        except R1Error as error:
            log.models.info("download of %s: %s", self.order.file, type(error).__name__)
            self.error = error
        finally:
            self.ended.emit()


def _unfinished(folders: Sequence[Path]) -> Sequence[_Partial]:
    return [(folder, partial_file.unfinished(folder)) for folder in folders]


def _discard(folder: Path, file: str) -> None:
    """Deleting gigabytes may take a while on some file systems."""
    try:
        partial_file.discard(folder, file)
    except OSError as error:
        log.models.warning("cannot delete the partial file of %s: %s", file, error)

"""The downloads: one at a time, in the order they were asked for, each in a thread of its own.

A download starts only because someone asked for it. Half ones of earlier days are paused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QThread, Signal, Slot

from deepseek_r1.catalogue import half
from deepseek_r1.catalogue.arrivals import Phase, Progress
from deepseek_r1.catalogue.checksums import Stop
from deepseek_r1.catalogue.errors import DownloadStopped
from deepseek_r1.catalogue.orders import Order
from deepseek_r1.catalogue.rules import Rules
from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from r1desk.background import in_background


class State(StrEnum):
    """Where a download stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Download:
    """One file. `path` is there once it is done, `report` where it failed."""

    order: Order
    state: State
    progress: Progress
    load_after: bool = False  # the user wants to talk to it as soon as it is there
    path: Path | None = None
    report: ErrorReport | None = None


class Downloads(QObject):
    """Lives in the main thread as long as the application."""

    changed = Signal()
    finished = Signal(object)  # Download
    failed = Signal(object)  # Download
    _recalled = Signal(tuple)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self.rules = Rules()
        self._all: dict[str, Download] = {}  # by file name, in the order asked
        self._worker: _Worker | None = None
        self._discard_after: set[str] = set()
        self._recalled.connect(self._on_recalled)

    @property
    def items(self) -> tuple[Download, ...]:
        """All downloads, the first asked for first."""
        return tuple(self._all.values())

    def recall(self) -> None:
        """Find the half downloads of earlier days; they stay paused until someone resumes them."""
        in_background(self, self._recall)

    def _recall(self) -> None:
        self._recalled.emit(half.unfinished(self.folder))

    def start(self, order: Order, *, load_after: bool = False) -> None:
        """Fetch a file after those that wait already. A paused or failed one goes on."""
        known = self._all.get(order.file)
        if known is not None and known.state in (State.QUEUED, State.RUNNING):
            return
        done = known.progress.done_bytes if known is not None else 0
        progress = Progress(order.file, Phase.RECEIVING, done, order.size_bytes)
        self._all.pop(order.file, None)  # to the end of the row
        self._all[order.file] = Download(order, State.QUEUED, progress, load_after)
        self._next()
        self.changed.emit()

    @Slot(str)
    def pause(self, file: str) -> None:
        """Stop a download; what has come is kept."""
        download = self._all.get(file)
        if download is None:
            return
        if download.state is State.RUNNING and self._worker is not None:
            self._worker.stop.request()
        elif download.state is State.QUEUED:
            self._set(replace(download, state=State.PAUSED))

    @Slot(str)
    def resume(self, file: str) -> None:
        """Go on with a paused or failed download."""
        if file in self._all:
            self.start(self._all[file].order, load_after=self._all[file].load_after)

    @Slot(str)
    def cancel(self, file: str) -> None:
        """Stop a download and delete what has come; a finished one is only taken off the list."""
        download = self._all.get(file)
        if download is None:
            return
        if download.state is State.RUNNING and self._worker is not None:
            self._discard_after.add(file)
            self._worker.stop.request()
            return
        del self._all[file]
        if download.state is not State.DONE:
            in_background(self, partial(_discard, self.folder, file))
        self.changed.emit()

    def close(self) -> None:
        """Stop what runs; it is paused the next time. Blocks a moment, at exit only."""
        if self._worker is not None:
            self._worker.stop.request()
            self._worker.wait()

    def _next(self) -> None:
        if self._worker is not None:
            return
        waiting = (each for each in self._all.values() if each.state is State.QUEUED)
        download = next(waiting, None)
        if download is None:
            return
        self._set(replace(download, state=State.RUNNING, report=None))
        self._worker = _Worker(download.order, self.folder, self.rules, self)
        self._worker.progressed.connect(self._on_progress)
        self._worker.finished.connect(self._on_worker_finished)
        self._worker.start()

    def _set(self, download: Download) -> None:
        self._all[download.order.file] = download
        self.changed.emit()

    @Slot(object)
    def _on_progress(self, progress: Progress) -> None:
        download = self._all.get(progress.file)
        if download is not None and download.state is State.RUNNING:
            self._set(replace(download, progress=progress))

    @Slot()
    def _on_worker_finished(self) -> None:
        worker, self._worker = self._worker, None
        assert worker is not None  # noqa: S101 - for the type checker
        worker.deleteLater()
        file = worker.order.file
        download = self._all[file]
        if worker.path is not None:
            ended = replace(download, state=State.DONE, path=worker.path)
            self._discard_after.discard(file)
        elif isinstance(worker.error, DownloadStopped):
            ended = replace(download, state=State.PAUSED)
        else:
            report = worker.error.report() if worker.error is not None else None
            ended = replace(download, state=State.FAILED, report=report)
        self._set(ended)
        if file in self._discard_after:
            self._discard_after.remove(file)
            self.cancel(file)
        elif ended.state is State.DONE:
            self.finished.emit(ended)
        elif ended.state is State.FAILED:
            self.failed.emit(ended)
        self._next()

    @Slot(tuple)
    def _on_recalled(self, found: Iterable[tuple[Order, int]]) -> None:
        for order, done in found:
            if order.file not in self._all:
                progress = Progress(order.file, Phase.RECEIVING, done, order.size_bytes)
                self._all[order.file] = Download(order, State.PAUSED, progress)
        self.changed.emit()


class _Worker(QThread):
    """Fetches one file. `path` or `error` is set at the end."""

    progressed = Signal(object)

    def __init__(self, order: Order, folder: Path, rules: Rules, parent: QObject) -> None:
        super().__init__(parent)
        self.order = order
        self.stop = Stop()
        self.path: Path | None = None
        self.error: R1Error | None = None
        self._folder, self._rules = folder, rules

    def run(self) -> None:
        """The thread's body."""
        from deepseek_r1.catalogue.pull import pull  # noqa: PLC0415 - the network's libraries

        try:
            self.path = pull(
                [self.order],
                self._folder,
                rules=self._rules,
                tell=self.progressed.emit,
                stop=self.stop,
            ).path
        except R1Error as error:
            log.models.info("download of %s: %s", self.order.file, type(error).__name__)
            self.error = error


def _discard(folder: Path, file: str) -> None:
    """Deleting gigabytes may take a while on some file systems."""
    try:
        half.discard(folder, file)
    except OSError as error:
        log.models.warning("cannot delete what came of %s: %s", file, error)

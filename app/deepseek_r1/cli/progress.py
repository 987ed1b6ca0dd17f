"""Shows progress bars on standard error; without a terminal, a line for each file and wait."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from deepseek_r1.catalogue.download_progress import (
    DownloadPhase,
    DownloadProgress,
    ProgressCallback,
)
from deepseek_r1.cli import console
from deepseek_r1.core.i18n import tr


@contextlib.contextmanager
def file_progress() -> Iterator[ProgressCallback]:
    """Yields a callback that shows the progress of each file until the block ends."""
    if not sys.stderr.isatty():
        yield _note_waits
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[tuple[str, DownloadPhase], TaskID] = {}

        def on_progress(now: DownloadProgress) -> None:
            if now.phase is DownloadPhase.WAITING:
                bars.console.print(_wait_text(now), markup=False, highlight=False)
                return
            key = (now.file, now.phase)
            if key not in tasks:
                tasks[key] = bars.add_task(_title(now), total=now.total_bytes)
            bars.update(tasks[key], completed=now.done_bytes, total=now.total_bytes)

        yield on_progress


def _title(now: DownloadProgress) -> str:
    return tr("Checking {file}", file=now.file) if now.phase is DownloadPhase.CHECKING else now.file


def _note_waits(now: DownloadProgress) -> None:
    if now.phase is DownloadPhase.WAITING:
        console.note(_wait_text(now))


def _wait_text(now: DownloadProgress) -> str:
    return tr("{file}: {detail}. Trying again…", file=now.file, detail=now.detail)

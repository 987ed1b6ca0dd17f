"""Bars on standard error for work on files; without a terminal a line for each file and wait."""

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

from deepseek_r1.catalogue.arrivals import Phase, Tell
from deepseek_r1.catalogue.arrivals import Progress as FileProgress
from deepseek_r1.cli import output
from deepseek_r1.core.words import tr


@contextlib.contextmanager
def file_progress() -> Iterator[Tell]:
    """A function that shows how far each file is, until the block ends."""
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
        tasks: dict[tuple[str, Phase], TaskID] = {}

        def tell(now: FileProgress) -> None:
            if now.phase is Phase.WAITING:
                bars.console.print(_wait_words(now), markup=False, highlight=False)
                return
            key = (now.file, now.phase)
            if key not in tasks:
                tasks[key] = bars.add_task(_title(now), total=now.total_bytes)
            bars.update(tasks[key], completed=now.done_bytes, total=now.total_bytes)

        yield tell


def _title(now: FileProgress) -> str:
    return tr("Checking {file}", file=now.file) if now.phase is Phase.CHECKING else now.file


def _note_waits(now: FileProgress) -> None:
    if now.phase is Phase.WAITING:
        output.note(_wait_words(now))


def _wait_words(now: FileProgress) -> str:
    return tr("{file}: {detail}. Trying again…", file=now.file, detail=now.detail)

"""Progress bars on standard error, and tables of names on standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from deepseek_r1.catalogue.download_spec import DownloadPhase, DownloadProgress, ProgressCallback
from deepseek_r1.cli import console
from deepseek_r1.core.i18n import tr

_WHOLE = 4096  # columns, wider than any path


def bars(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Progress bars with these columns between bar and time; none where there is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=transient,
    )


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that is never cut to the terminal's width: users copy its names and paths."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*map(console.cell, row))
    Console(highlight=False, markup=False, width=_WHOLE).print(table)


@contextlib.contextmanager
def file_progress() -> Iterator[ProgressCallback]:
    """Yields a callback that shows the progress of each file until the block ends."""
    if not sys.stderr.isatty():
        yield _note_waits
        return
    with bars(DownloadColumn(), TransferSpeedColumn(), transient=True) as shown:
        tasks: dict[tuple[str, DownloadPhase], TaskID] = {}

        def on_progress(now: DownloadProgress) -> None:
            if now.phase is DownloadPhase.WAITING:
                shown.console.print(_wait_text(now), markup=False, highlight=False)
                return
            key = (now.file, now.phase)
            if key not in tasks:
                tasks[key] = shown.add_task(_title(now), total=now.total_bytes)
            shown.update(tasks[key], completed=now.done_bytes, total=now.total_bytes)

        yield on_progress


def _title(now: DownloadProgress) -> str:
    return tr("Checking {file}", file=now.file) if now.phase is DownloadPhase.CHECKING else now.file


def _note_waits(now: DownloadProgress) -> None:
    if now.phase is DownloadPhase.WAITING:
        console.note(_wait_text(now))


def _wait_text(now: DownloadProgress) -> str:
    return tr("{file}: {detail}. Trying again…", file=now.file, detail=now.detail)

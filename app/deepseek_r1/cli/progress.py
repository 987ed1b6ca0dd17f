"""Progress bars on standard error, and tables of names on standard output."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

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
OnBar = Callable[[object, str, int, int | None], None]


@contextlib.contextmanager
def bars(*columns: ProgressColumn, transient: bool = False) -> Iterator[OnBar]:
    """Yields a function that shows a bar for each key, with these columns between bar and time.

    It gets the key, its title, what is done and the total. There are no bars without a terminal.
    """
    tasks: dict[object, TaskID] = {}
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=transient,
    ) as shown:

        def show(key: object, title: str, done: int, total: int | None) -> None:
            if key not in tasks:
                tasks[key] = shown.add_task(title, total=total)
            shown.update(tasks[key], completed=done, total=total)

        yield show


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False
) -> None:
    """Print a table that is never cut to the terminal's width: users copy its names and paths.

    With `numbers`, all columns but the first are aligned to the right.
    """
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(console.cell(title), justify="right" if numbers and place else "left")
    for row in rows:
        table.add_row(*map(console.cell, row))
    Console(highlight=False, markup=False, width=_WHOLE).print(table)


@contextlib.contextmanager
def file_progress() -> Iterator[ProgressCallback]:
    """Yields a callback that shows the progress of each file until the block ends."""
    with bars(DownloadColumn(), TransferSpeedColumn(), transient=True) as show:

        def on_progress(now: DownloadProgress) -> None:
            if now.phase is DownloadPhase.WAITING:
                text = tr("{file}: {detail}. Trying again…", file=now.file, detail=now.detail)
                console.note(text)
                return
            checking = now.phase is DownloadPhase.CHECKING
            title = tr("Checking {file}", file=now.file) if checking else now.file
            show((now.file, now.phase), title, now.done_bytes, now.total_bytes)

        yield on_progress

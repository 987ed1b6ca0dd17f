"""The command `deepseek-r1 quality`: compares the quality, size and speed of two versions."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import TextColumn

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, command, option
from deepseek_r1.cli.progress import bars, print_table
from deepseek_r1.convert.errors import OutputUnwritable
from deepseek_r1.core.i18n import tr
from deepseek_r1.lab import quality_report as report
from deepseek_r1.lab.quality_run import (
    DISK_LIMIT_MIB,
    MOST_SCORED,
    WINDOW,
    Measurement,
    MeasurementSettings,
    OnModel,
    compare,
)


@command(
    "quality", tr("Compare two versions of a model on a text: quality, size, memory and speed.")
)
@click.argument("base", type=PATH, help=tr("The model to compare with, a GGUF file."))
@click.argument("other", type=PATH, help=tr("Another version of the same model."))
@option("--text", tr("A text of the kind the model will be used for, UTF-8."), PATH, required=True)
@option("--plot", tr("Write the comparison as a picture, PNG."), PATH)
@option("--tokens", tr("The most tokens to score."), click.IntRange(min=16), default=MOST_SCORED)
@option(
    "--window", tr("Tokens in one window of the text."), click.IntRange(32, 8192), default=WINDOW
)
@o.threads_option
@o.budget_option
@option(
    "--disk-limit",
    tr("The most MiB that temporary files may take."),
    click.IntRange(min=1),
    default=DISK_LIMIT_MIB,
)
@option("--scratch", tr("A folder for temporary files. Default: the system's."), PATH)
@o.json_option
def quality(
    *,
    base: Path,
    other: Path,
    text: Path,
    plot: Path | None,
    tokens: int,
    window: int,
    threads: int,
    memory_budget: int,
    disk_limit: int,
    scratch: Path | None,
    as_json: bool,
) -> None:
    """Compare two versions of a model on a text: quality, size, memory and speed."""
    if plot is not None:
        report.require_plots()
        if not plot.parent.is_dir():
            raise OutputUnwritable(path=str(plot), detail=os.strerror(errno.ENOENT))
    terms = MeasurementSettings(
        text=text,
        memory_budget_mib=memory_budget - int(o.COMMAND_LINE_MIB),
        window=window,
        most_scored=tokens,
        disk_limit_mib=disk_limit,
        scratch=scratch,
        threads=threads,
    )
    with model_bar() as on_model:
        measured = compare(base, [other], terms, on_model)
    if as_json:
        console.result_json(quality_report([base, other], measured, text))
    else:
        show(measured, [base.name, other.name])
    if plot is not None:
        try:
            report.draw(measured, [base.stem, other.stem], plot)
        except (OSError, ValueError) as error:  # a name that matplotlib takes for a formula
            raise OutputUnwritable(path=str(plot), detail=str(error)) from error


def quality_report(paths: list[Path], measured: list[Measurement], text: Path) -> dict[str, Any]:
    """Returns the JSON contract of `quality`, the base first."""
    return {
        "text": str(text),
        "window": measured[0].window,
        "scored_tokens": measured[0].scored,
        "vocabulary": measured[0].vocabulary,
        "models": [report.as_json(m, p) for m, p in zip(measured, paths, strict=True)],
    }


@contextmanager
def model_bar() -> Iterator[OnModel]:
    """Show a progress bar for each model on standard error if it is a terminal."""
    with bars(TextColumn("{task.percentage:>3.0f} %")) as show_bar:
        yield lambda model, done, total: show_bar(model, model.name, done, total)


def show(measured: list[Measurement], names: list[str]) -> None:
    """Print the table on standard output, with a sentence for each comparison."""
    properties = [(title, *values) for title, values in report.rows(measured).items()]
    print_table(("", *names), properties, numbers=True)
    margin = tr("The base's first choice is ahead by, nats")
    titles = (margin, tr("Tokens"), tr("Another first choice"), tr("Share"))
    for other in measured[1:]:
        print_table(titles, report.disagreements(other), numbers=True)
        console.result(report.verdict(measured[0], other))
    base = measured[0]
    console.note(
        tr(
            "{scored} tokens scored, in windows of {window}. ± is half of a 95 % interval.",
            scored=base.scored,
            window=base.window,
        )
    )

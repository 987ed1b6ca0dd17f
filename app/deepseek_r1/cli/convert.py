"""`deepseek-r1 convert`: a model of another format or precision as a GGUF file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar

from deepseek_r1.cli import options as o
from deepseek_r1.cli import output
from deepseek_r1.cli.answering import INTERRUPTED
from deepseek_r1.cli.pruning import (
    CalibrationText,
    Layers,
    Share,
    calibration_text,
    prune_file,
    require_file,
)
from deepseek_r1.cli.quality import launch, model_bar
from deepseek_r1.convert.importance import collect_importance
from deepseek_r1.convert.job import Converted, OnProgress, Progress, Stage, Wish
from deepseek_r1.convert.job import convert as convert_model
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.convert.prune import Pruning
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.words import tr

_MIB = 1 << 20


def convert(
    source: Annotated[
        Path | None, typer.Argument(help=tr("A GGUF file, or a folder from Hugging Face."))
    ] = None,
    target: Annotated[Path | None, typer.Argument(help=tr("The GGUF file to write."))] = None,
    *,
    input_path: Annotated[
        Path | None, typer.Option("--input", "-i", help=tr("The same as the first argument."))
    ] = None,
    output_path: Annotated[
        Path | None, typer.Option("--output", "-o", help=tr("The same as the second argument."))
    ] = None,
    precision: o.PrecisionName = "int8",
    imatrix_text: Annotated[
        Path | None,
        typer.Option(
            "--imatrix-text",
            help=tr("A text that shows which weights matter; the source must be a GGUF file."),
        ),
    ] = None,
    prune: Share = None,
    prune_layers: Layers = 0,
    text: CalibrationText = None,
    memory_budget: o.MemoryBudget = o.LOAD.memory_budget,
    threads: Annotated[
        int,
        typer.Option("--threads", min=0, max=512, help=tr("Threads for packing. 0: all cores.")),
    ] = 0,
    force: o.Force = False,
    as_json: o.Json = False,
) -> None:
    """Write a model as a GGUF file of another precision. A run that was ended goes on."""
    wish = Wish(
        source=_one(source, input_path, "--input"),
        output=_one(target, output_path, "--output"),
        precision=precision_named(precision),
        memory_budget_mib=memory_budget,
        force=force,
        threads=threads,
    )
    prunes = bool(prune or prune_layers)
    _check_texts(prunes=prunes, text=text, imatrix_text=imatrix_text)
    try:
        if imatrix_text is not None:
            wish = _with_importance(wish, imatrix_text)
        if prunes:
            pruning = Pruning(prune or 0.0, calibration_text(text), prune_layers)
            converted = prune_file(wish, pruning)
        else:
            with _bar() as on_progress:
                converted = convert_model(wish, on_progress)
    except KeyboardInterrupt:
        output.note(tr("Stopped. The same command goes on where it was."))
        raise typer.Exit(INTERRUPTED) from None
    show_converted(wish, converted, as_json=as_json)


def show_converted(wish: Wish, converted: Converted, *, as_json: bool) -> None:
    """What came of it: remarks on standard error, the result on standard output."""
    for remark in converted.remarks:
        output.note(remark)
    if as_json:
        output.result_json(convert_report(wish, converted))
    else:
        _show(converted)


def convert_report(wish: Wish, converted: Converted) -> dict[str, Any]:
    """The JSON of `convert`."""
    return {
        "output": str(converted.path),
        "bytes": converted.nbytes,
        "sha256": converted.sha256,
        "precision": wish.precision.name.lower(),
        "architecture": converted.architecture,
        "tensors": converted.tensors,
        "types": converted.kinds,
        "source": str(wish.source),
        "source_bytes": converted.source_bytes,
        "source_sha256": converted.source_sha256,
        "resumed_bytes": converted.resumed_bytes,
        "memory": {
            "budget_mb": wish.memory_budget_mib,
            "peak_mb": round(converted.peak_mib, 2),
        },
        "wall_s": round(converted.wall_s, 3),
        "remarks": list(converted.remarks),
    }


def _one(argument: Path | None, option: Path | None, name: str) -> Path:
    """The path given in one of two ways."""
    if argument is not None and option is not None:
        detail = tr("{name} is given twice: {a} and {b}.", name=name, a=argument, b=option)
        raise WrongUsage(detail=detail)
    path = argument or option
    if path is None:
        raise WrongUsage(detail=tr("{name} is missing.", name=name))
    return path


def _check_texts(*, prunes: bool, text: Path | None, imatrix_text: Path | None) -> None:
    """Each text belongs to one kind of work. Raises WrongUsage."""
    if prunes and imatrix_text is not None:  # which saw columns that the pruned model has not
        raise WrongUsage(detail=tr("--imatrix-text and --prune do not go together."))
    if text is not None and not prunes:
        raise WrongUsage(detail=tr("--text is for --prune; the other is --imatrix-text."))


def _with_importance(wish: Wish, text: Path) -> Wish:
    """The wish with what the text, read by the source itself, says about its weights."""
    require_file(wish.source)
    with model_bar() as on_model:
        importance = collect_importance(
            wish.source,
            text,
            launch(),
            memory_budget_mib=wish.memory_budget_mib - int(o.COMMAND_LINE_MIB),
            threads=wish.threads,
            on_progress=lambda done, total: on_model(wish.source, done, total),
        )
    return replace(wish, importance=importance, importance_text=text.name)


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """A bar on standard error, for those who watch."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        stage: Stage | None = None

        def on_progress(progress: Progress) -> None:
            nonlocal stage
            if progress.stage is not stage:
                stage = progress.stage
                bar.reset(task, description=_words(stage), total=progress.total)
            bar.update(task, completed=progress.done)

        yield on_progress


def _words(stage: Stage) -> str:
    return {
        Stage.CHECKING: tr("Reading the source"),
        Stage.RESUMING: tr("Reading what is there"),
        Stage.WRITING: tr("Writing"),
    }[stage]


def _show(converted: Converted) -> None:
    output.result(
        tr(
            "{path}: {mib} MiB, from {source_mib} MiB",
            path=converted.path,
            mib=f"{converted.nbytes / _MIB:,.1f}",
            source_mib=f"{converted.source_bytes / _MIB:,.1f}",
        )
    )
    kinds = ", ".join(f"{count} {name}" for name, count in converted.kinds.items())
    output.result(tr("{n} tensors: {kinds}", n=converted.tensors, kinds=kinds))
    output.result(f"sha256 {converted.sha256}")
    output.aside(
        tr(
            "{seconds} s, at most {peak} MiB of memory",
            seconds=f"{converted.wall_s:.1f}",
            peak=f"{converted.peak_mib:.0f}",
        )
    )

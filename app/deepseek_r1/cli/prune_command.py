"""The command `deepseek-r1 prune`: removes feed-forward channels or blocks from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.convert_command import show_converted
from deepseek_r1.cli.prune_options import (
    CalibrationText,
    Layers,
    calibration_text,
    prune_file,
)
from deepseek_r1.cli.quality_command import DiskLimit, Scratch
from deepseek_r1.convert.job import ConversionRequest
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.convert.prune.prune_model import Pruning
from deepseek_r1.convert.quality.quality_run import DISK_LIMIT_MIB
from deepseek_r1.core.i18n import tr

_USUAL_SHARE = 0.3  # without --prune and --prune-layers


def prune(
    source: Annotated[Path, typer.Argument(help=tr("A GGUF file of a dense model."))],
    target: Annotated[Path, typer.Argument(help=tr("The GGUF file to write."))],
    *,
    text: CalibrationText = None,
    share: Annotated[
        float | None,
        typer.Option(
            "--prune",
            min=0.01,
            max=0.9,
            help=tr("The share of feed-forward channels to remove."),
            show_default=tr("{share}, or none with --prune-layers", share=_USUAL_SHARE),
        ),
    ] = None,
    prune_layers: Layers = 0,
    compensate: Annotated[
        bool, typer.Option(help=tr("Fit the remaining weights to the calibration text."))
    ] = True,
    precision: o.PrecisionName = "int8",
    memory_budget: o.MemoryBudget = o.LOAD.memory_budget,
    threads: o.Threads = o.LOAD.threads,
    disk_limit: DiskLimit = DISK_LIMIT_MIB,
    scratch: Scratch = None,
    force: o.Force = False,
    as_json: o.Json = False,
) -> None:
    """Remove the least important feed-forward channels. Loses quality: compare before use."""
    if share is None:
        share = 0.0 if prune_layers else _USUAL_SHARE
    request = ConversionRequest(
        source, target, precision_named(precision), memory_budget, force, threads
    )
    pruning = Pruning(
        share=share,
        text=calibration_text(text),
        blocks=prune_layers,
        compensate=compensate,
        disk_limit_mib=disk_limit,
        scratch=scratch,
    )
    show_converted(request, prune_file(request, pruning), as_json=as_json)
    console.note(tr("See what it cost: deepseek-r1 quality SOURCE OUTPUT --text ANOTHER_TEXT"))

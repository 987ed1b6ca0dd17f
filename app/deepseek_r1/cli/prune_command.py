"""The command `deepseek-r1 prune`: removes feed-forward channels or blocks from a model."""

from __future__ import annotations

from pathlib import Path

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, Command
from deepseek_r1.cli.convert_command import layers_option, show_converted, text_option
from deepseek_r1.cli.pruning import calibration_text, prune_file
from deepseek_r1.cli.quality_command import disk_limit_option, scratch_option
from deepseek_r1.convert.job import ConversionRequest
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.i18n import tr
from deepseek_r1.lab.prune.prune_model import Pruning

_USUAL_SHARE = 0.3  # without --prune and --prune-layers


@click.command(
    "prune",
    cls=Command,
    help=tr("Remove the least important feed-forward channels. Loses quality: compare before use."),
)
@click.argument("source", type=PATH, help=tr("A GGUF file of a dense model."))
@click.argument("target", type=PATH, help=tr("The GGUF file to write."))
@text_option
@click.option(
    "--prune",
    "share",
    type=click.FloatRange(min=0.01, max=0.9),
    help=tr("The share of feed-forward channels to remove."),
    show_default=tr("{share}, or none with --prune-layers", share=_USUAL_SHARE),
)
@layers_option
@click.option(
    "--compensate/--no-compensate",
    default=True,
    help=tr("Fit the remaining weights to the calibration text."),
)
@o.precision_option
@o.budget_option
@o.threads_option
@disk_limit_option
@scratch_option
@o.force_option
@o.json_option
def prune(
    *,
    source: Path,
    target: Path,
    text: Path | None,
    share: float | None,
    prune_layers: int,
    compensate: bool,
    precision: str,
    memory_budget: int,
    threads: int,
    disk_limit: int,
    scratch: Path | None,
    force: bool,
    as_json: bool,
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

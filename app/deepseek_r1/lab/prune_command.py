"""The command `deepseek-r1 prune`: removes feed-forward channels or blocks from a model."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import PATH, Decorator, command, option
from deepseek_r1.convert.convert_command import layers_option, show_converted, text_option
from deepseek_r1.convert.job import ConversionRequest, ConversionResult
from deepseek_r1.convert.precision import precision_named
from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import resources_dir
from deepseek_r1.lab.importance_matrix import activations
from deepseek_r1.lab.prune_model import prune as prune_model
from deepseek_r1.lab.quality_command import model_bar

_USUAL_SHARE = 0.3  # without --prune and --prune-layers


def without_effect(_context: click.Context, option: click.Parameter, value: object) -> None:
    """Say of an option that scripts may still name that it no longer does anything."""
    if value is not None:
        detail = tr("This option does nothing any more: it gained nothing.")
        console.note(f"{option.opts[0]}: {detail}")


def fit_option(names: str) -> Decorator:
    """Returns a hidden option of the fit of earlier versions."""
    return option(names, "", hidden=True, expose_value=False, callback=without_effect, default=None)


@command(
    "prune",
    tr("Remove the least important feed-forward channels. Loses quality: compare before use."),
)
@click.argument("source", type=PATH, help=tr("A GGUF file of a dense model."))
@click.argument("target", type=PATH, help=tr("The GGUF file to write."))
@text_option
@option(
    "--prune share",
    tr("The share of feed-forward channels to remove."),
    click.FloatRange(0.01, 0.9),
    show_default=tr("{share}, or none with --prune-layers", share=_USUAL_SHARE),
)
@layers_option
@fit_option("--compensate/--no-compensate")
@fit_option("--scratch")
@fit_option("--disk-limit")
@o.precision_option
@o.budget_option
@o.threads_option
@o.force_option
@o.json_option
def prune(
    *,
    source: Path,
    target: Path,
    text: Path | None,
    share: float | None,
    prune_layers: int,
    precision: str,
    memory_budget: int,
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    if share is None:
        share = 0.0 if prune_layers else _USUAL_SHARE
    request = ConversionRequest(
        source, target, precision_named(precision), memory_budget, force, threads
    )
    pruned = prune_file(request, share, text, prune_layers)
    show_converted(request, pruned, as_json=as_json)
    console.note(tr("See what it cost: deepseek-r1 quality SOURCE OUTPUT --text ANOTHER_TEXT"))


def with_importance(request: ConversionRequest, text: Path) -> ConversionRequest:
    """Returns the request with an importance matrix of the source on the text."""
    _require_file(request.source)
    with model_bar() as on_model:
        importance = activations(
            request.source,
            text,
            memory_budget_mib=request.memory_budget_mib - int(o.COMMAND_LINE_MIB),
            threads=request.threads,
            on_progress=lambda done, total: on_model(request.source, done, total),
        ).squares
    return replace(request, importance=importance, importance_text=text.name)


def prune_file(
    request: ConversionRequest, share: float, text: Path | None, blocks: int
) -> ConversionResult:
    """Prune with one progress bar for the text and one for the output. Raises WrongUsage."""
    _require_file(request.source)
    text = text or resources_dir() / "calibration" / "calibration.txt"
    with model_bar() as on_model:
        return prune_model(
            request,
            text,
            share,
            blocks,
            on_text=partial(on_model, request.source),
            on_progress=lambda _stage, done, total: on_model(request.output, done, total),
        )


def _require_file(source: Path) -> None:
    """Raise WrongUsage for a folder, which cannot evaluate a text."""
    if source.is_dir():
        detail = tr("A folder cannot evaluate a text. Convert it to f16 first, then use that file.")
        raise WrongUsage(detail=detail)
